import { describe, expect, test } from "vitest";
import * as abi from "../../../../hal/abi/io/console";
import { XenConsoled } from "../../../../hal/host/console/console";
import { createPlainMemory } from "../../../../hal/host/hypervisor/memory";

const MFN = 3;

/** A console page and its guest. */
class Guest {
  readonly memory = createPlainMemory(8, 4096);
  readonly notified: number[] = [];
  readonly env = { memory: () => this.memory, notify: (domid: number) => void this.notified.push(domid) };
  console = new XenConsoled(this.env);
  readonly page = this.memory.base + MFN * 4096;

  constructor() {
    expect(this.console.introduce(7, MFN)).toBe(0);
  }

  word(offset: number): number {
    return this.memory.u32[(this.page + offset) >>> 2];
  }

  setWord(offset: number, value: number): void {
    this.memory.u32[(this.page + offset) >>> 2] = value;
  }

  print(text: string): void {
    const produced = this.word(abi.XENCONS_INTERFACE_OUT_PROD);
    for (let i = 0; i < text.length; i++) {
      this.memory.u8[this.page + abi.XENCONS_INTERFACE_OUT + ((produced + i) & 2047)] = text.charCodeAt(i);
    }
    this.setWord(abi.XENCONS_INTERFACE_OUT_PROD, produced + text.length);
  }

  typed(): string {
    let text = "";
    const produced = this.word(abi.XENCONS_INTERFACE_IN_PROD);
    let consumed = this.word(abi.XENCONS_INTERFACE_IN_CONS);
    for (; consumed !== produced; consumed = (consumed + 1) >>> 0) {
      text += String.fromCharCode(this.memory.u8[this.page + abi.XENCONS_INTERFACE_IN + (consumed & 1023)]);
    }
    this.setWord(abi.XENCONS_INTERFACE_IN_CONS, consumed);
    return text;
  }

  drained(): string {
    return new TextDecoder().decode(this.console.service(7));
  }
}

describe("output", () => {
  test("comes once, in order, also around the ring's end, and the guest is notified", () => {
    const guest = new Guest();
    let all = "";
    let expected = "";
    for (let i = 0; i < 300; i++) {
      const line = `line ${i} of the log\n`;
      guest.print(line);
      expected += line;
      all += guest.drained();
    }
    expect(all).toBe(expected);
    expect(guest.notified).toEqual(Array(300).fill(7));
    expect(guest.drained()).toBe("");
    expect(guest.notified.length).toBe(300);
  });

  test("a full ring is drained in one call", () => {
    const guest = new Guest();
    guest.print("x".repeat(2048));
    expect(guest.drained()).toBe("x".repeat(2048));
  });
});

describe("input", () => {
  test("takes what fits and says how much", () => {
    const guest = new Guest();
    const bytes = new TextEncoder().encode("k".repeat(1500));
    expect(guest.console.input(7, bytes)).toBe(1024);
    expect(guest.console.input(7, bytes)).toBe(0);
    expect(guest.typed()).toBe("k".repeat(1024));
    expect(guest.console.input(7, bytes.subarray(1024))).toBe(476);
    expect(guest.typed()).toBe("k".repeat(476));
    expect(guest.notified).toEqual([7, 7]);
  });
});

describe("a hostile page", () => {
  test.each([
    ["out_prod 2049 ahead", abi.XENCONS_INTERFACE_OUT_PROD, 2049],
    ["out_prod behind", abi.XENCONS_INTERFACE_OUT_PROD, 0xffffffff],
    ["in_cons ahead", abi.XENCONS_INTERFACE_IN_CONS, 1],
    ["in_cons far behind", abi.XENCONS_INTERFACE_IN_CONS, 0x80000000],
  ])("%s parks the console", (_name, offset, value) => {
    const guest = new Guest();
    guest.setWord(offset, value);
    const before = guest.memory.u8.slice();
    expect([guest.console.service(7).length, guest.console.input(7, Uint8Array.of(1))]).toEqual([0, 0]);
    expect(guest.console.isParked(7)).toBe(true);
    guest.setWord(offset, 0);
    guest.print("too late");
    expect([guest.drained(), guest.console.input(7, Uint8Array.of(1))]).toEqual(["", 0]);
    expect(before.length).toBe(guest.memory.u8.length);
  });

  test("our own indices are ours", () => {
    const guest = new Guest();
    guest.print("one");
    guest.drained();
    guest.setWord(abi.XENCONS_INTERFACE_OUT_CONS, 0);
    guest.setWord(abi.XENCONS_INTERFACE_IN_PROD, 999);
    guest.print("two");
    expect(guest.drained()).toBe("two");
    guest.console.input(7, Uint8Array.of(0x61));
    expect(guest.typed()).toBe("a");
  });
});

test("no such frame is -EINVAL; no console is silence; a copied state goes on", () => {
  const guest = new Guest();
  for (const mfn of [-1, 8, 0.5, NaN]) expect(guest.console.introduce(9, mfn)).toBe(-22);
  expect([
    guest.console.service(9).length,
    guest.console.input(9, Uint8Array.of(1)),
    guest.console.isParked(9),
  ]).toEqual([0, 0, false]);
  guest.print("one");
  guest.drained();
  guest.console = new XenConsoled(guest.env, structuredClone(guest.console.state));
  guest.print("two");
  expect(guest.drained()).toBe("two");
  guest.console.release(7);
  guest.print("three");
  expect(guest.drained()).toBe("");
});
