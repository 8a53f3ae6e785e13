import { expect, it } from "vitest";
import type { Machine } from "xenolith";
import { onEveryEngine } from "xenolith/kit";

/** Nobody waits longer than this for a screen, virtual ns. */
const PATIENCE_NS = 10e9;
/** What the shell tells the terminal, not the person. */
const MARKS = /\x1b\]133;[AC]\x07/g;
const SIZE = { rows: 24, columns: 80 };

/** Somebody at a domain's console. */
class Seat {
  private seen = 0;

  constructor(readonly machine: Machine, readonly domain: string) {}

  /** Types, and waits until the screen has shown `until`; returns what it showed, from the last call on. */
  type(keys: string, until: string | RegExp = /# (\x1b\[K\r\x1b\[\d+C)?$/): string {
    this.machine.consoleInput(this.domain, keys);
    return this.wait(until);
  }

  wait(until: string | RegExp): string {
    const written = () => this.machine.console(this.domain).slice(this.seen);
    const shown = () => written().replace(MARKS, "");
    const done = () => (typeof until === "string" ? shown().includes(until) : until.test(shown()));
    this.machine.runWhile(() => !done(), PATIENCE_NS);
    const text = shown();
    if (!done()) throw new Error(`the screen never showed ${until}: ${JSON.stringify(text)}`);
    this.seen += written().length;
    return text;
  }
}

onEveryEngine("console", ({ boot, expectChange }) => {
  async function sit(domain = "domU") {
    const machine = await boot({ disks: ["ram:1M,raw,xvda,w"] });
    const seat = new Seat(machine, domain);
    const shell = machine.openConsole(domain, SIZE);
    seat.wait(`${domain}:/# `);
    return { machine, seat, shell };
  }

  it("a whole session: prompt, commands, editing, history, completion, Ctrl-C, Ctrl-D", async () => {
    const { machine, seat, shell } = await sit();
    expect(seat.type("echo $((", "$((")).toContain("$((");
    expect(seat.type("\x03")).toContain("^C\r\n");
    expect(seat.type("echo $?\r")).toMatch(/\r\n130\r\n/);
    expect(seat.type("lsx\x7fblk | cat\r")).toContain("xvda           202:0  0     1M  0 disk\r\n");
    expect(seat.type("cd /sys/bl\t\r")).toContain("domU:/sys/block# ");
    expect(seat.type("\x1b[A\x1b[A\r")).toContain("202:0");
    expect(seat.type("history\r")).toContain("    1  echo $?\r\n    2  lsblk | cat\r\n    3  cd /sys/block/\r\n");
    expect(seat.type("ech\t\x15\r", "# ")).toContain("echo ");
    seat.type("cat\r", /cat.*\r\n$/s);
    expect(seat.type("line\r", "line\r\nline\r\n")).toContain("line");
    expect(seat.type("\x03")).toContain("^C\r\n");
    expect(seat.type("echo $?\r")).toContain("\r\n130\r\n");
    seat.type("cat\r", /cat.*\r\n$/s);
    expect(seat.type("more\r\x04")).toContain("more\r\nmore\r\n");
    expect(seat.type("cat <<X\ra\r\rX\r", /a\r\n\r\n.*# /s)).toContain("> ");
    expect(shell.status).toBe(null);
    machine.consoleInput("domU", "sh -c 'exit 7'\r\x04");
    expect(machine.runWhile(() => shell.status === null, PATIENCE_NS)).toBe(true);
    expect(shell.status).toBe(7);
    machine.run("domU", "rmmod hvc_xen");
  });

  it("dom0 and domU at once, beside other programs", async () => {
    const { machine, seat, shell } = await sit();
    const other = new Seat(machine, "dom0");
    const second = machine.openConsole("dom0", SIZE);
    other.wait("dom0:/# ");
    expect(other.type("lsmod\r")).toContain("xen_blkback");
    expect(seat.type("lsmod\r")).toContain("xen_blkfront");
    expect(machine.run("domU", "cat /sys/block/xvda/size").status).toBe(0);
    machine.consoleInput("dom0", "exit\r");
    machine.consoleInput("domU", "exit\r");
    machine.runWhile(() => shell.status === null || second.status === null, PATIENCE_NS);
    expect([shell.status, second.status]).toEqual([0, 0]);
    for (const domain of ["dom0", "domU"]) machine.run(domain, "rmmod hvc_xen");
  });

  it.each([
    ["dd if=/dev/zero of=/dev/null", /\d+\+0 records in/],
    [
      "fio --name=t --filename=/dev/nullb0 --rw=randread --number_ios=100000000 --iodepth=16",
      /terminating on signal 2/,
    ],
    ["sleep 100000", /\^C/],
    ["while sleep 1; do echo tick; done", /tick/],
    ["xenstore-watch device", /^device/m],
  ])("Ctrl-C ends %s with 130", async (command, shown) => {
    const { machine, seat, shell } = await sit();
    seat.type("modprobe null_blk gb=1\r");
    machine.consoleInput("domU", `${command}\r`);
    machine.runWhile(
      () => !machine.console("domU").includes("\x1b]133;C", machine.console("domU").lastIndexOf(command)),
      1e9,
    );
    machine.advance(5e6);
    expect(seat.type("\x03")).toMatch(shown);
    expect(seat.type("echo $?\r")).toMatch(/\r\n130\r\n/);
    machine.consoleInput("domU", "\x04");
    machine.runWhile(() => shell.status === null, PATIENCE_NS);
    expect(machine.run("domU", "rmmod hvc_xen null_blk").status).toBe(0);
  });

  it.each(["cat /dev/zero > /dev/null", "wc /dev/zero", "grep a /dev/zero", "while :; do :; done"])(
    "Ctrl-C ends %s, which never sleeps by itself",
    async (command) => {
      const { machine, seat } = await sit();
      seat.type(`${command}\r`, "\r\n");
      machine.advance(2e6);
      expect(seat.type("\x03")).toContain("^C\r\n");
      expect(seat.type("echo $?\r")).toContain("\r\n130\r\n");
      expectChange(machine);
    },
  );

  it("a pipe: no echo, more input than the ring holds, the last status at its end", async () => {
    const machine = await boot({ disks: [] });
    const shell = machine.openConsole("domU", "pipe");
    const text = `${"x".repeat(99)}\n`.repeat(60);
    machine.consoleInput("domU", `echo begin\ncat <<X\n${text}X\ncat\nrest\x03\x04`);
    machine.runWhile(() => machine.pendingConsoleInput("domU") > 0, PATIENCE_NS);
    machine.setTerminal(shell, "closed");
    machine.runWhile(() => shell.status === null, PATIENCE_NS);
    expect(shell).toMatchObject({ status: 0, output: `begin\n${text}rest\x03\x04` });
    machine.run("domU", "rmmod hvc_xen");
  });

  it("the same keys at the same times give the same trace", async () => {
    const play = async () => {
      const { machine, seat } = await sit();
      seat.type("lsblk\r");
      machine.consoleInput("domU", "while true; do :; done\r");
      machine.advance(1e6);
      seat.type("\x03");
      expectChange(machine);
      return { hash: machine.traceHash(), inputs: machine.inputs().map(({ at, kind, data }) => ({ at, kind, data })) };
    };
    expect(await play()).toEqual(await play());
  });
});
