import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { ptr } from "xenolith/linux/types";
import {
  INVALID_GRANT_REF,
  gnttab_alloc_grant_reference_seq,
  gnttab_alloc_grant_references,
  gnttab_cancel_free_callback,
  gnttab_claim_grant_reference,
  gnttab_empty_grant_references,
  gnttab_end_foreign_access_ref,
  gnttab_free_callback,
  gnttab_free_grant_reference,
  gnttab_free_grant_reference_seq,
  gnttab_free_grant_references,
  gnttab_grant_foreign_access,
  gnttab_grant_foreign_access_ref,
  gnttab_max_grant_frames,
  gnttab_query_foreign_access,
  gnttab_release_grant_reference,
  gnttab_request_free_callback,
  gnttab_try_end_foreign_access,
} from "xenolith/xen/grant_table";
import { gnttab_free_references, gnttab_init, gnttab_total_references } from "../../../drivers/xen/grant-table";
import { ENOSPC } from "../../../hal/abi/errno";
import { bootFake } from "./boot-fake";
import type { FakeXen } from "./fake-xen";

let fake: FakeXen;

beforeEach(() => {
  fake = bootFake();
  expect(gnttab_init()).toBe(0);
});

/** The eight bytes of an entry, as hexadecimal. */
function entry(ref: number): string {
  const bytes = fake.bytes(4 + (ref >>> 9)).subarray((ref & 511) * 8, (ref & 511) * 8 + 8);
  return Buffer.from(bytes).toString("hex");
}

function setEntryFlags(ref: number, flags: number): void {
  fake.bytes(4 + (ref >>> 9))[(ref & 511) * 8] = flags;
}

describe("references", () => {
  test("a fresh table has one frame, 504 references, and 8 is the first", () => {
    expect(gnttab_free_references()).toBe(504);
    expect(gnttab_grant_foreign_access(0, 1, 0)).toBe(8);
    expect(gnttab_grant_foreign_access(0, 1, 0)).toBe(9);
  });

  test("the one that was freed last is taken first", () => {
    const [a, b, c] = [0, 1, 2].map(() => gnttab_grant_foreign_access(0, 1, 0));
    gnttab_free_grant_reference(a);
    gnttab_free_grant_reference(c);
    gnttab_free_grant_reference(b);
    expect([0, 1, 2].map(() => gnttab_grant_foreign_access(0, 1, 0))).toEqual([b, c, a]);
  });

  test("a private chain hands out its references in order, takes them back, and is empty when they are out", () => {
    const head = ptr(0);
    expect(gnttab_alloc_grant_references(3, head)).toBe(0);
    expect([0, 1, 2].map(() => gnttab_claim_grant_reference(head))).toEqual([8, 9, 10]);
    expect(gnttab_empty_grant_references(head)).toBe(true);
    expect(gnttab_claim_grant_reference(head)).toBe(-ENOSPC);
    gnttab_release_grant_reference(head, 9);
    gnttab_release_grant_reference(head, 10);
    expect(gnttab_claim_grant_reference(head)).toBe(10);
    expect(gnttab_empty_grant_references(head)).toBe(false);
  });

  test("freeing a chain puts it back as it is: the next chain has the same references in the same order", () => {
    const head = ptr(0);
    gnttab_alloc_grant_references(4, head);
    gnttab_free_grant_references(head.value);
    expect(gnttab_free_references()).toBe(504);
    gnttab_alloc_grant_references(2, head);
    expect([0, 1].map(() => gnttab_claim_grant_reference(head))).toEqual([8, 9]);
  });

  test("an empty chain is allocated and freed without effect", () => {
    const head = ptr(0);
    expect(gnttab_alloc_grant_references(0, head)).toBe(0);
    expect(head.value).toBe(INVALID_GRANT_REF);
    gnttab_free_grant_references(head.value);
    expect(gnttab_free_references()).toBe(504);
  });

  test("the table grows by whole frames when it must, up to the hypervisor's limit", () => {
    const head = ptr(0);
    expect(gnttab_alloc_grant_references(505, head)).toBe(0);
    expect(gnttab_total_references()).toBe(1024 - 8);
    expect(gnttab_max_grant_frames()).toBe(32);
    expect(gnttab_alloc_grant_references(32 * 512 - 8 - 505, head)).toBe(0);
    expect(gnttab_free_references()).toBe(0);
    expect(gnttab_alloc_grant_references(1, head)).toBe(-ENOSPC);
    expect(gnttab_grant_foreign_access(0, 1, 0)).toBe(-ENOSPC);
  });

  test("a request beyond the limit fails and changes nothing", () => {
    expect(gnttab_alloc_grant_references(32 * 512 - 7, ptr(0))).toBe(-ENOSPC);
    expect(gnttab_free_references()).toBe(504);
  });

  test("consecutive references are found between used ones", () => {
    const used = [0, 1, 2, 3, 4].map(() => gnttab_grant_foreign_access(0, 1, 0));
    gnttab_free_grant_reference(used[1]);
    gnttab_free_grant_reference(used[2]);
    const first = ptr(0);
    expect(gnttab_alloc_grant_reference_seq(2, first)).toBe(0);
    expect(first.value).toBe(9);
    expect(gnttab_alloc_grant_reference_seq(600, first)).toBe(0);
    expect(first.value).toBe(13);
    gnttab_free_grant_reference_seq(13, 600);
    gnttab_free_grant_reference_seq(9, 2);
    expect(gnttab_grant_foreign_access(0, 1, 0)).toBe(9);
  });

  test("any mixture of operations keeps every reference exactly once, in last in first out order", () => {
    const steps = fc.array(fc.record({ take: fc.boolean(), pick: fc.nat(1000) }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (sequence) => {
        fake = bootFake();
        gnttab_init();
        const free = Array.from({ length: 504 }, (_, i) => 511 - i);
        const out: number[] = [];
        for (const step of sequence) {
          if (step.take || out.length === 0) {
            out.push(gnttab_grant_foreign_access(0, 1, 0));
            expect(out[out.length - 1]).toBe(free.pop());
          } else {
            const [ref] = out.splice(step.pick % out.length, 1);
            gnttab_free_grant_reference(ref);
            free.push(ref);
          }
        }
        expect(gnttab_free_references()).toBe(free.length);
      }),
      { numRuns: 30 },
    );
  });
});

describe("callbacks", () => {
  test("fn is called inside the request when there are enough references", () => {
    const calls: unknown[] = [];
    gnttab_request_free_callback(new gnttab_free_callback(), (arg) => calls.push(arg), "now", 10);
    expect(calls).toEqual(["now"]);
  });

  test("fn is called once, by the free that makes enough", () => {
    const calls: unknown[] = [];
    const head = ptr(0);
    gnttab_alloc_grant_references(32 * 512 - 8, head);
    const callback = new gnttab_free_callback();
    gnttab_request_free_callback(callback, (arg) => calls.push(arg), "later", 2);
    gnttab_request_free_callback(callback, (arg) => calls.push(arg), "ignored: already queued", 1);
    gnttab_free_grant_reference(gnttab_claim_grant_reference(head));
    expect(calls).toEqual([]);
    gnttab_free_grant_reference(gnttab_claim_grant_reference(head));
    gnttab_free_grant_reference(gnttab_claim_grant_reference(head));
    expect(calls).toEqual(["later"]);
  });

  test("a cancelled callback is not called, the others are", () => {
    const calls: string[] = [];
    const head = ptr(0);
    gnttab_alloc_grant_references(32 * 512 - 8, head);
    const callbacks = ["a", "b", "c"].map((name) => {
      const callback = new gnttab_free_callback();
      gnttab_request_free_callback(callback, () => calls.push(name), null, 1);
      return callback;
    });
    gnttab_cancel_free_callback(callbacks[1]);
    gnttab_free_grant_reference(gnttab_claim_grant_reference(head));
    expect(calls.sort()).toEqual(["a", "c"]);
  });
});

describe("entries", () => {
  test("a grant is domid, frame and flags as the interface says", () => {
    gnttab_grant_foreign_access_ref(8, 0, 0x12345, 0);
    expect(entry(8)).toBe("0100000045230100");
    gnttab_grant_foreign_access_ref(9, 0x7fee, 0xfffffffe, 1);
    expect(entry(9)).toBe("0500ee7ffeffffff");
  });

  test("an entry of a later frame goes to that frame", () => {
    gnttab_alloc_grant_references(600, ptr(0));
    gnttab_grant_foreign_access_ref(513, 7, 2, 0);
    expect(entry(513)).toBe("0100070002000000");
    expect(fake.page(5)[2]).toBe(0x00070001);
  });

  test("revoking clears the flags and nothing else", () => {
    gnttab_grant_foreign_access_ref(8, 3, 77, 0);
    expect(gnttab_end_foreign_access_ref(8)).toBe(1);
    expect(entry(8)).toBe("000003004d000000");
  });

  test.each([8, 16, 24])("an entry with in-use flags %i is not revoked and not changed", (in_use) => {
    gnttab_grant_foreign_access_ref(8, 3, 77, 0);
    setEntryFlags(8, 1 | in_use);
    const before = entry(8);
    expect(gnttab_query_foreign_access(8)).toBe(in_use);
    expect(gnttab_end_foreign_access_ref(8)).toBe(0);
    expect(gnttab_try_end_foreign_access(8)).toBe(0);
    expect(entry(8)).toBe(before);
    setEntryFlags(8, 1);
    expect(gnttab_end_foreign_access_ref(8)).toBe(1);
  });

  test("gnttab_try_end_foreign_access frees the reference only when it revoked", () => {
    const ref = gnttab_grant_foreign_access(2, 5, 0);
    setEntryFlags(ref, 1 | 8);
    gnttab_try_end_foreign_access(ref);
    expect(gnttab_free_references()).toBe(503);
    setEntryFlags(ref, 1);
    gnttab_try_end_foreign_access(ref);
    expect(gnttab_free_references()).toBe(504);
  });
});
