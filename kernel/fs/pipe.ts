/**
 * Pipes (Linux fs/pipe.c): bytes go in at one end and come out at the other, in order.
 *
 *   writer ── bufs, at most PIPE_SIZE bytes ──► reader       a full pipe stops the writer, an empty one the reader
 *
 * No writer left: the reader gets what is there, then the end. No reader left: the writer gets SIGPIPE and -EPIPE.
 */
import { EINTR, EPIPE } from "xenolith/linux/errno";
import { EXPORT_SYMBOL } from "xenolith/linux/export";
import { FMODE_READ, FMODE_WRITE, S_IFIFO, file, type file_operations, type inode } from "xenolith/linux/fs";
import { current, send_sig } from "xenolith/linux/sched";
import { SIGPIPE } from "xenolith/linux/signal";
import { wait_event_interruptible, wait_queue_head, wake_up_all } from "xenolith/linux/wait";

/** Bytes that a pipe holds. */
const PIPE_SIZE = 65536;

class pipe_inode_info {
  readonly bufs: Uint8Array[] = [];
  /** Bytes of the first buffer that have been read. */
  offset = 0;
  /** Bytes in it. */
  used = 0;
  /** Open ends. */
  readers = 1;
  writers = 1;
  /** Either side waits here for the other. */
  readonly wait = new wait_queue_head();
}

/** Takes what is there, as far as it fits. */
function take(pipe: pipe_inode_info, to: Uint8Array): number {
  let done = 0;
  while (done < to.length && pipe.used > 0) {
    const first = pipe.bufs[0];
    const count = Math.min(first.length - pipe.offset, to.length - done);
    to.set(first.subarray(pipe.offset, pipe.offset + count), done);
    done += count;
    pipe.used -= count;
    pipe.offset += count;
    if (pipe.offset < first.length) continue;
    pipe.bufs.shift();
    pipe.offset = 0;
  }
  return done;
}

const pipe_fops: file_operations = {
  *read(from, to) {
    const pipe = from.private_data as pipe_inode_info;
    const error = yield* wait_event_interruptible(pipe.wait, () => pipe.used > 0 || pipe.writers === 0);
    if (error !== 0) return -EINTR;
    const count = take(pipe, to);
    wake_up_all(pipe.wait);
    return count;
  },
  *write(to, from) {
    const pipe = to.private_data as pipe_inode_info;
    for (let done = 0; done < from.length; ) {
      const error = yield* wait_event_interruptible(pipe.wait, () => pipe.used < PIPE_SIZE || pipe.readers === 0);
      if (pipe.readers === 0) {
        send_sig(SIGPIPE, current(), 0);
        return -EPIPE;
      }
      if (error !== 0) return done > 0 ? done : -EINTR;
      const count = Math.min(PIPE_SIZE - pipe.used, from.length - done);
      pipe.bufs.push(from.slice(done, done + count));
      pipe.used += count;
      done += count;
      wake_up_all(pipe.wait);
    }
    return from.length;
  },
  *release(_inode, closed) {
    const pipe = closed.private_data as pipe_inode_info;
    if ((closed.f_mode & FMODE_READ) !== 0) pipe.readers--;
    else pipe.writers--;
    wake_up_all(pipe.wait);
  },
};

function pipe_file(pipe: pipe_inode_info, node: inode, mode: number): file {
  const end = new file();
  end.f_path = "pipe:";
  end.f_mode = mode;
  end.f_op = pipe_fops;
  end.f_inode = node;
  end.private_data = pipe;
  return end;
}

export function create_pipe_files(): [file, file] {
  const pipe = new pipe_inode_info();
  const node: inode = { i_mode: S_IFIFO | 0o600, i_rdev: 0, i_size: 0, i_fop: pipe_fops, i_private: pipe };
  return [pipe_file(pipe, node, FMODE_READ), pipe_file(pipe, node, FMODE_WRITE)];
}
EXPORT_SYMBOL(create_pipe_files);
