/** Files whose content is one text, made when the file is opened: what /sys and /proc consist of. (Linux: seq_file, kernfs.) */
import { EACCES, EIO } from "xenolith/linux/errno";
import { S_IFDIR, S_IFREG, type file, type file_operations, type inode } from "xenolith/linux/fs";
import type { Sleeps } from "xenolith/linux/sched";
import { bytes_to_string, string_to_bytes } from "xenolith/linux/string";
import type { Ptr, loff_t } from "xenolith/linux/types";
import { copy_from_iter, copy_to_iter, type iov_iter } from "xenolith/linux/uio";

/** The two ends of a text file. `show` returns the text or a negative errno; `store` the count or a negative errno. */
export interface text_source {
  show?(): string | number;
  store?(text: string): Sleeps<number>;
}

const text_fops: file_operations = {
  *open(node, opened) {
    const source = node.i_private as text_source;
    if ((opened.f_mode & 1) === 0) return 0;
    const text = source.show === undefined ? -EACCES : source.show();
    if (typeof text === "number") return text === 0 ? -EIO : text;
    opened.private_data = string_to_bytes(text);
    return 0;
  },
  *read_iter(opened, iter, pos) {
    const bytes = opened.private_data as Uint8Array;
    const left = bytes.length - pos.value;
    if (left <= 0) return 0;
    const count = copy_to_iter(bytes, pos.value, left, iter);
    pos.value += count;
    return count;
  },
  write_iter,
};

function* write_iter(opened: file, iter: iov_iter, pos: Ptr<loff_t>): Sleeps<number> {
  const source = opened.f_inode?.i_private as text_source;
  if (source.store === undefined) return -EACCES;
  const bytes = new Uint8Array(iter.count);
  copy_from_iter(bytes, 0, bytes.length, iter);
  const status = yield* source.store(bytes_to_string(bytes));
  if (status > 0) pos.value += status;
  return status;
}

/** A file over a text source, with permission bits `mode`. */
export function text_inode(source: text_source, mode: number): inode {
  return { i_mode: S_IFREG | mode, i_rdev: 0, i_size: 4096, i_fop: text_fops, i_private: source };
}

/** A directory whose entries are found by functions. */
export function directory_inode(iterate: () => string[], lookup: (name: string) => inode | null): inode {
  return { i_mode: S_IFDIR | 0o755, i_rdev: 0, i_size: 0, i_fop: {}, i_private: null, iterate, lookup };
}
