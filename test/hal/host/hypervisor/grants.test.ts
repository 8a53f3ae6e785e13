import { beforeEach, describe, expect, it } from "vitest";
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from "../../../../hal/abi/errno";
import {
  GNTCOPY_dest_gref,
  GNTCOPY_source_gref,
  GNTMAP_application_map,
  GNTMAP_contains_pte,
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST_bad_copy_arg,
  GNTST_bad_dev_addr,
  GNTST_bad_domain,
  GNTST_bad_gntref,
  GNTST_bad_handle,
  GNTST_bad_page,
  GNTST_bad_virt_addr,
  GNTST_eagain,
  GNTST_general_error,
  GNTST_no_space,
  GNTST_okay,
  GNTST_permission_denied,
  GNTTABOP_cache_flush,
  GNTTABOP_copy,
  GNTTABOP_dump_table,
  GNTTABOP_get_status_frames,
  GNTTABOP_get_version,
  GNTTABOP_map_grant_ref,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  GNTTABOP_setup_table,
  GNTTABOP_swap_grant_ref,
  GNTTABOP_transfer,
  GNTTABOP_unmap_and_replace,
  GNTTABOP_unmap_grant_ref,
  GTF_accept_transfer,
  GTF_permit_access,
  GTF_reading,
  GTF_transitive,
  GTF_writing,
} from "../../../../hal/abi/grant_table";
import { __HYPERVISOR_grant_table_op, DOMID_SELF } from "../../../../hal/abi/xen";
import { FRAME_SIZE } from "../../../../hal/host/hypervisor/memory";
import { ARGS, FakeMachine, READONLY_GRANT, type FakeCpu } from "./fake-machine";

const HOST = GNTMAP_host_map;
const RO = GNTMAP_readonly;
const OP = __HYPERVISOR_grant_table_op;

let machine: FakeMachine;

/** Domain 1 grants, domain 2 maps. */
beforeEach(() => {
  machine = new FakeMachine();
  for (const domid of [0, 1, 2, 3]) machine.add(domid);
});

const granter = (body: (cpu: FakeCpu) => void) => machine.run(1, body);
const mapper = <T>(body: (cpu: FakeCpu) => T): T => machine.run(2, body);
const ledgerOf = (domid: number) => machine.hv.ledger().domains.find((d) => d.domid === domid)!;

describe("map_grant_ref", () => {
  it("maps a frame: handle, bus address, reading and writing set, frame held", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    const { status, frame, result } = mapper((cpu) => cpu.map(1, 8, HOST));
    expect({ status, result }).toEqual({ status: GNTST_okay, result: 0 });
    expect(frame).toBe(machine.hv.domain(1).firstFrame + 50);
    expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access | GTF_reading | GTF_writing);
    expect(machine.hv.mayAccess(2, frame)).toBe(true);
    expect(machine.hv.mayAccess(3, frame)).toBe(false);
    expect(ledgerOf(1)).toMatchObject({ framesPinned: 1, pins: 1, grantsInUse: 1 });
    expect(ledgerOf(2).mappings).toBe(1);
  });

  it("a read-only map sets reading only", () => {
    granter((cpu) => cpu.grant(8, 2, 50, READONLY_GRANT));
    expect(mapper((cpu) => cpu.map(1, 8, HOST | RO)).status).toBe(GNTST_okay);
    expect(machine.cpu(1).grantFlags(8)).toBe(READONLY_GRANT | GTF_reading);
  });

  const refused: [string, (cpu: FakeCpu) => number, number][] = [
    ["neither device nor host map", (cpu) => cpu.map(1, 8, RO).status, GNTST_bad_gntref],
    ["application map", (cpu) => cpu.map(1, 8, HOST | GNTMAP_application_map).status, GNTST_general_error],
    ["contains_pte", (cpu) => cpu.map(1, 8, HOST | GNTMAP_contains_pte).status, GNTST_general_error],
    ["unknown domain", (cpu) => cpu.map(77, 8, HOST).status, GNTST_bad_domain],
    ["DOMID_SELF", (cpu) => cpu.map(DOMID_SELF, 8, HOST).status, GNTST_bad_domain],
    ["first reference beyond the table", (cpu) => cpu.map(1, 512, HOST).status, GNTST_bad_gntref],
    ["reference 2^32-1", (cpu) => cpu.map(1, 0xffffffff, HOST).status, GNTST_bad_gntref],
    ["empty entry", (cpu) => cpu.map(1, 9, HOST).status, GNTST_general_error],
    ["entry for another domain", (cpu) => cpu.map(1, 10, HOST).status, GNTST_general_error],
    ["write map of a read-only entry", (cpu) => cpu.map(1, 11, HOST).status, GNTST_general_error],
    ["accept_transfer entry", (cpu) => cpu.map(1, 12, HOST).status, GNTST_general_error],
    ["transitive entry", (cpu) => cpu.map(1, 13, HOST).status, GNTST_general_error],
    ["frame of another domain", (cpu) => cpu.map(1, 14, HOST).status, GNTST_bad_page],
    ["host address in own RAM", (cpu) => cpu.map(1, 8, HOST, -1).status, GNTST_bad_virt_addr],
  ];

  it.each(refused)("%s is refused, and nothing is held", (_name, attempt, expected) => {
    granter((cpu) => {
      cpu.grant(8, 2, 50);
      cpu.grant(10, 3, 50);
      cpu.grant(11, 2, 50, READONLY_GRANT);
      cpu.grant(12, 2, 50, GTF_accept_transfer);
      cpu.grant(13, 2, 50, GTF_transitive);
      cpu.grant(14, 2, 64 + 10);
    });
    expect(mapper(attempt)).toBe(expected);
    expect(expected).toBeLessThan(0);
    expect(ledgerOf(1)).toMatchObject({ framesPinned: 0, grantsInUse: 0 });
    expect(ledgerOf(2).mappings).toBe(0);
    for (const ref of [8, 10, 11, 12, 13, 14]) {
      expect(machine.cpu(1).grantFlags(ref) & (GTF_reading | GTF_writing)).toBe(0);
    }
  });

  it("the same entry may be mapped several times, each with a handle of its own, flags cleared with the last", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    mapper((cpu) => {
      const first = cpu.map(1, 8, HOST, 0);
      const second = cpu.map(1, 8, HOST | RO, 1);
      expect(first.handle).not.toBe(second.handle);
      expect(cpu.unmap(first.handle, cpu.hostAddress(0))).toBe(GNTST_okay);
      expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access | GTF_reading);
      expect(cpu.unmap(second.handle, cpu.hostAddress(1))).toBe(GNTST_okay);
      expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access);
    });
    expect(ledgerOf(1).pins).toBe(0);
  });

  it("an address that is mapped already is refused", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    mapper((cpu) => {
      cpu.map(1, 8, HOST, 3);
      expect(cpu.map(1, 8, HOST, 3).status).toBe(GNTST_general_error);
    });
  });

  it("a use counter takes 128 mappings and refuses the next", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    mapper((cpu) => {
      for (let i = 0; i < 128; i++) expect(cpu.map(1, 8, HOST, i).status).toBe(GNTST_okay);
      expect(cpu.map(1, 8, HOST, 128).status).toBe(GNTST_general_error);
    });
  });

  it("without a free handle it is no_space, before the reference is looked at", () => {
    machine.add(4, { maptrackMax: 64 });
    granter((cpu) => cpu.grant(8, 4, 50));
    machine.run(4, (cpu) => {
      for (let i = 0; i < 64; i++) expect(cpu.map(1, 8, HOST, i).status).toBe(GNTST_okay);
      expect(cpu.map(1, 0xffffffff, HOST, 65).status).toBe(GNTST_no_space);
    });
  });

  it("a failing element of a batch does not stop the others", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    mapper((cpu) => {
      for (let i = 0; i < 3; i++) {
        const at = ARGS + i * 32;
        const words = [cpu.hostAddress(i), 0, HOST, i === 1 ? 4000 : 8, 1, 0, 0, 0];
        words.forEach((word, n) => cpu.write32(at + n * 4, word));
      }
      expect(cpu.hypercall(OP, GNTTABOP_map_grant_ref, ARGS, 3)).toBe(0);
      expect([0, 1, 2].map((i) => cpu.reads16(ARGS + i * 32 + 18))).toEqual([0, GNTST_bad_gntref, 0]);
    });
  });

  it("XSA-500: an entry that is rewritten while in use keeps its frame and its user", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    const first = mapper((cpu) => cpu.map(1, 8, HOST, 0));
    granter((cpu) => cpu.grant(8, 2, 51));
    expect(mapper((cpu) => cpu.map(1, 8, HOST, 1)).frame).toBe(first.frame);
    granter((cpu) => cpu.grant(8, 3, 52));
    expect(machine.run(3, (cpu) => cpu.map(1, 8, HOST)).status).toBe(GNTST_general_error);
  });

  it("a first writable map of an entry in use looks at the entry again", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    mapper((cpu) => expect(cpu.map(1, 8, HOST | RO, 0).status).toBe(GNTST_okay));
    granter((cpu) => cpu.grant(8, 2, 50, READONLY_GRANT));
    mapper((cpu) => expect(cpu.map(1, 8, HOST, 1).status).toBe(GNTST_general_error));
  });

  it("XSA-228: handles are unique among those in use, through growth and reuse", () => {
    granter((cpu) => {
      for (let i = 0; i < 100; i++) cpu.grant(8 + i, 2, 50);
    });
    mapper((cpu) => {
      const handles = Array.from({ length: 100 }, (_, i) => cpu.map(1, 8 + i, HOST, i).handle);
      expect(new Set(handles).size).toBe(100);
      for (let i = 0; i < 100; i += 2) cpu.unmap(handles[i], cpu.hostAddress(i));
      for (let i = 0; i < 100; i += 2) handles[i] = cpu.map(1, 8 + i, HOST, i).handle;
      expect(new Set(handles).size).toBe(100);
    });
  });
});

describe("unmap_grant_ref", () => {
  let handle = 0;
  beforeEach(() => {
    granter((cpu) => cpu.grant(8, 2, 50));
    handle = mapper((cpu) => cpu.map(1, 8, HOST | GNTMAP_device_map)).handle;
  });

  const bus = () => (machine.hv.domain(1).firstFrame + 50) * FRAME_SIZE;

  it.each([
    ["unused handle", 5],
    ["handle beyond the table", 1_000_000],
    ["handle 2^32-1", 0xffffffff],
  ])("%s is bad_handle", (_name, bad) => {
    mapper((cpu) => expect(cpu.unmap(bad, cpu.hostAddress(0))).toBe(GNTST_bad_handle));
  });

  it("XSA-224: a wrong bus address undoes nothing, also when the host address is right", () => {
    mapper((cpu) => expect(cpu.unmap(handle, cpu.hostAddress(0), bus() + FRAME_SIZE)).toBe(GNTST_bad_dev_addr));
    expect(ledgerOf(2).mappings).toBe(1);
    mapper((cpu) => expect(cpu.unmap(handle, cpu.hostAddress(0), bus())).toBe(GNTST_okay));
    expect(ledgerOf(1)).toMatchObject({ pins: 0, grantsInUse: 0 });
  });

  it("XSA-224: host and device mapping may be undone by two calls; the counts meet at zero", () => {
    mapper((cpu) => {
      expect(cpu.unmap(handle, cpu.hostAddress(0))).toBe(GNTST_okay);
      expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access | GTF_reading | GTF_writing);
      expect(cpu.unmap(handle, cpu.hostAddress(0))).toBe(GNTST_general_error);
      expect(cpu.unmap(handle, 0, bus())).toBe(GNTST_okay);
      expect(cpu.unmap(handle, 0, bus())).toBe(GNTST_bad_handle);
    });
    expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access);
    expect(ledgerOf(1)).toMatchObject({ pins: 0, grantsInUse: 0 });
  });

  it("another host address is a general error", () => {
    mapper((cpu) => {
      expect(cpu.unmap(handle, cpu.hostAddress(1))).toBe(GNTST_general_error);
      expect(cpu.unmap(handle, cpu.hostAddress(0) + 8)).toBe(GNTST_general_error);
    });
    expect(ledgerOf(2).mappings).toBe(1);
  });

  it("host address 0 leaves the host mapping", () => {
    mapper((cpu) => expect(cpu.unmap(handle, 0)).toBe(GNTST_okay));
    expect(ledgerOf(2).mappings).toBe(1);
  });

  it("40 unmaps pay two flushes", () => {
    granter((cpu) => {
      for (let i = 0; i < 40; i++) cpu.grant(20 + i, 2, 50);
    });
    mapper((cpu) => {
      const handles = Array.from({ length: 40 }, (_, i) => cpu.map(1, 20 + i, HOST, 10 + i).handle);
      handles.forEach((h, i) => {
        const words = [cpu.hostAddress(10 + i), 0, 0, 0, h, 0];
        words.forEach((word, n) => cpu.write32(ARGS + i * 24 + n * 4, word));
      });
      const before = cpu.clock;
      expect(cpu.hypercall(OP, GNTTABOP_unmap_grant_ref, ARGS, 40)).toBe(0);
      expect(cpu.clock - before).toBe(1 + 40 * 2 + 2);
    });
  });
});

describe("unmap_and_replace", () => {
  it("moves the other mapping to the address", () => {
    granter((cpu) => {
      cpu.grant(8, 2, 50);
      cpu.grant(9, 2, 51);
    });
    mapper((cpu) => {
      const first = cpu.map(1, 8, HOST, 0);
      const second = cpu.map(1, 9, HOST, 1);
      cpu.args(cpu.hostAddress(0), 0, cpu.hostAddress(1), 0, first.handle, 0);
      cpu.hypercall(OP, GNTTABOP_unmap_and_replace, ARGS, 1);
      expect(cpu.reads16(ARGS + 20)).toBe(GNTST_okay);
      expect(cpu.unmap(second.handle, cpu.hostAddress(1))).toBe(GNTST_general_error);
      expect(cpu.unmap(second.handle, cpu.hostAddress(0))).toBe(GNTST_okay);
    });
    expect(ledgerOf(1).pins).toBe(0);
  });

  it("refuses an address at which nothing is mapped, changing nothing", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    mapper((cpu) => {
      const { handle } = cpu.map(1, 8, HOST, 0);
      cpu.args(cpu.hostAddress(0), 0, cpu.hostAddress(7), 0, handle, 0);
      cpu.hypercall(OP, GNTTABOP_unmap_and_replace, ARGS, 1);
      expect(cpu.reads16(ARGS + 20)).toBe(GNTST_general_error);
    });
    expect(ledgerOf(2).mappings).toBe(1);
  });
});

interface Side {
  ref: number;
  domid: number;
  offset?: number;
}

/** One copy; frames are absolute. */
function copy(cpu: FakeCpu, from: Side, to: Side, length: number, flags: number): number {
  cpu.args(from.ref, 0, from.domid | ((from.offset ?? 0) << 16), 0);
  const words = [to.ref, 0, to.domid | ((to.offset ?? 0) << 16), 0, length | (flags << 16), 0];
  words.forEach((word, n) => cpu.write32(ARGS + 16 + n * 4, word));
  expect(cpu.hypercall(OP, GNTTABOP_copy, ARGS, 1)).toBe(0);
  return cpu.reads16(ARGS + 36);
}

describe("copy", () => {
  const own = (cpu: FakeCpu, pfn: number): Side => ({ ref: cpu.domain.firstFrame + pfn, domid: DOMID_SELF });
  beforeEach(() =>
    granter((cpu) => {
      cpu.grant(8, 2, 50);
      cpu.grant(9, 2, 51, READONLY_GRANT);
      for (let i = 0; i < 1024; i++) cpu.write32(50 * FRAME_SIZE + i * 4, i);
    }),
  );

  it("moves the bytes, and leaves no use behind", () => {
    mapper((cpu) => {
      const status = copy(
        cpu,
        { ref: 8, domid: 1, offset: 8 },
        { ...own(cpu, 45), offset: 4 },
        12,
        GNTCOPY_source_gref,
      );
      expect(status).toBe(GNTST_okay);
      expect([0, 1, 2, 3, 4].map((i) => cpu.read32(45 * FRAME_SIZE + i * 4))).toEqual([0, 2, 3, 4, 0]);
    });
    expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access);
    expect(ledgerOf(1).pins).toBe(0);
  });

  it("length 0 succeeds whatever the operands say", () => {
    mapper((cpu) => expect(copy(cpu, { ref: 99999, domid: 1 }, { ref: 99999, domid: 55 }, 0, 3)).toBe(GNTST_okay));
  });

  const refused: [string, (cpu: FakeCpu) => number, number][] = [
    [
      "a frame of a named domain",
      (cpu) => copy(cpu, { ref: 0, domid: 1 }, own(cpu, 45), 4, 0),
      GNTST_permission_denied,
    ],
    ["an unknown domain", (cpu) => copy(cpu, { ref: 8, domid: 99 }, own(cpu, 45), 4, 1), GNTST_bad_domain],
    [
      "beyond the source page",
      (cpu) => copy(cpu, { ref: 8, domid: 1, offset: 4093 }, own(cpu, 45), 4, 1),
      GNTST_bad_copy_arg,
    ],
    [
      "beyond the target page",
      (cpu) => copy(cpu, { ref: 8, domid: 1 }, { ...own(cpu, 45), offset: 1 }, 4096, 1),
      GNTST_bad_copy_arg,
    ],
    ["a bad reference", (cpu) => copy(cpu, { ref: 512, domid: 1 }, own(cpu, 45), 4, 1), GNTST_bad_gntref],
    ["an empty entry", (cpu) => copy(cpu, { ref: 10, domid: 1 }, own(cpu, 45), 4, 1), GNTST_general_error],
    [
      "writing a read-only entry",
      (cpu) => copy(cpu, own(cpu, 45), { ref: 9, domid: 1 }, 4, GNTCOPY_dest_gref),
      GNTST_general_error,
    ],
    ["a frame that is not ours", (cpu) => copy(cpu, { ref: 3, domid: DOMID_SELF }, own(cpu, 45), 4, 0), GNTST_bad_page],
  ];
  it.each(refused)("%s is refused", (_name, attempt, expected) => {
    expect(mapper(attempt)).toBe(expected);
    expect(expected).toBeLessThan(0);
  });

  it("XSA-230: a copy from a mapped entry leaves it in use", () => {
    mapper((cpu) => {
      cpu.map(1, 8, HOST);
      expect(copy(cpu, { ref: 8, domid: 1 }, own(cpu, 45), 64, GNTCOPY_source_gref)).toBe(GNTST_okay);
    });
    expect(machine.cpu(1).grantFlags(8)).toBe(GTF_permit_access | GTF_reading | GTF_writing);
  });

  it("XSA-500: a copy through a rewritten entry that is in use takes the frame that was checked", () => {
    mapper((cpu) => cpu.map(1, 8, HOST));
    granter((cpu) => cpu.grant(8, 2, 52));
    mapper((cpu) => {
      copy(cpu, { ref: 8, domid: 1, offset: 4 }, own(cpu, 45), 4, GNTCOPY_source_gref);
      expect(cpu.read32(45 * FRAME_SIZE)).toBe(1);
    });
  });
});

describe("the table", () => {
  it("query_size tells one frame of 32 at first; setup_table grows it and lists the frames", () => {
    granter((cpu) => {
      cpu.args(DOMID_SELF, 0, 0, 0);
      expect(cpu.hypercall(OP, GNTTABOP_query_size, ARGS, 1)).toBe(0);
      expect([cpu.read32(ARGS + 4), cpu.read32(ARGS + 8), cpu.reads16(ARGS + 12)]).toEqual([1, 32, GNTST_okay]);
      cpu.args(DOMID_SELF, 3, 0, 0, ARGS + 64, 0);
      expect(cpu.hypercall(OP, GNTTABOP_setup_table, ARGS, 1)).toBe(0);
      expect(cpu.reads16(ARGS + 8)).toBe(GNTST_okay);
      const first = cpu.domain.firstFrame;
      expect([0, 1, 2].map((i) => cpu.read32(ARGS + 64 + i * 8))).toEqual([first + 4, first + 5, first + 6]);
      cpu.grant(1535, 2, 50);
    });
    expect(mapper((cpu) => cpu.map(1, 1535, HOST)).status).toBe(GNTST_okay);
  });

  it("setup_table keeps what is in use", () => {
    granter((cpu) => cpu.grant(8, 2, 50));
    const { handle } = mapper((cpu) => cpu.map(1, 8, HOST));
    granter((cpu) => {
      cpu.args(DOMID_SELF, 32, 0, 0, ARGS + 64, 0);
      cpu.hypercall(OP, GNTTABOP_setup_table, ARGS, 1);
    });
    expect(mapper((cpu) => cpu.unmap(handle, cpu.hostAddress(0)))).toBe(GNTST_okay);
    expect(ledgerOf(1).pins).toBe(0);
  });

  it.each([
    ["more frames than there may be", [DOMID_SELF, 33, 0, 0, ARGS + 64, 0], GNTST_general_error],
    ["another domain's table", [2, 1, 0, 0, ARGS + 64, 0], GNTST_permission_denied],
    ["an unknown domain's table", [99, 1, 0, 0, ARGS + 64, 0], GNTST_bad_domain],
  ])("setup_table: %s", (_name, words, status) => {
    granter((cpu) => {
      cpu.args(...words);
      expect(cpu.hypercall(OP, GNTTABOP_setup_table, ARGS, 1)).toBe(0);
      expect(cpu.reads16(ARGS + 8)).toBe(status);
    });
  });

  it("setup_table: a count other than 1 is -EINVAL, a list beyond the RAM -EFAULT", () => {
    granter((cpu) => {
      cpu.args(DOMID_SELF, 1, 0, 0, 64 * FRAME_SIZE - 4, 0);
      expect(cpu.hypercall(OP, GNTTABOP_setup_table, ARGS, 2)).toBe(-EINVAL);
      expect(cpu.hypercall(OP, GNTTABOP_setup_table, ARGS, 1)).toBe(-EFAULT);
    });
  });

  it("dom0 may ask for another domain's table", () => {
    machine.run(0, (cpu) => {
      cpu.args(1, 0, 0, 0);
      cpu.hypercall(OP, GNTTABOP_query_size, ARGS, 1);
      expect(cpu.reads16(ARGS + 12)).toBe(GNTST_okay);
    });
  });

  it("versions: 1 is there, 2 is not offered, 3 does not exist", () => {
    granter((cpu) => {
      const set = (version: number) => cpu.hypercall(OP, GNTTABOP_set_version, cpu.args(version), 1);
      expect([set(1), set(2), set(3)]).toEqual([0, -ENOSYS, -EINVAL]);
      const get = (domid: number) => cpu.hypercall(OP, GNTTABOP_get_version, cpu.args(domid, 0), 1);
      expect([get(DOMID_SELF), cpu.read32(ARGS + 4), get(2), get(99)]).toEqual([0, 1, -EPERM, -ESRCH]);
    });
  });

  it("swap_grant_ref exchanges entries that are not in use", () => {
    granter((cpu) => {
      cpu.grant(8, 2, 50);
      cpu.args(8, 9, 0);
      cpu.hypercall(OP, GNTTABOP_swap_grant_ref, ARGS, 1);
      expect([cpu.reads16(ARGS + 8), cpu.grantFlags(8), cpu.grantFlags(9)]).toEqual([0, 0, GTF_permit_access]);
    });
    mapper((cpu) => cpu.map(1, 9, HOST));
    granter((cpu) => {
      const swap = (a: number, b: number) => {
        cpu.hypercall(OP, GNTTABOP_swap_grant_ref, cpu.args(a, b, 0), 1);
        return cpu.reads16(ARGS + 8);
      };
      const limits = [0, 7, 511, 512, 0xffffffff].map((ref) => swap(ref, 8));
      expect(limits).toEqual([0, 0, 0, GNTST_bad_gntref, GNTST_bad_gntref]);
      expect([swap(9, 8), swap(8, 9), swap(9, 9)]).toEqual([GNTST_eagain, GNTST_eagain, GNTST_okay]);
    });
  });

  it("operations that there are not are -ENOSYS", () => {
    granter((cpu) => {
      const commands = [
        GNTTABOP_dump_table,
        GNTTABOP_transfer,
        GNTTABOP_get_status_frames,
        GNTTABOP_cache_flush,
        13,
        -1,
      ];
      for (const command of commands) expect(cpu.hypercall(OP, command, ARGS, 1)).toBe(-ENOSYS);
    });
  });

  it("an array beyond the RAM is -EFAULT, a negative count -EINVAL, and nothing is done", () => {
    granter((cpu) => {
      const end = cpu.domain.ramBytes;
      expect(cpu.hypercall(OP, GNTTABOP_map_grant_ref, end - 32, 2)).toBe(-EFAULT);
      expect(cpu.hypercall(OP, GNTTABOP_map_grant_ref, -32, 1)).toBe(-EFAULT);
      expect(cpu.hypercall(OP, GNTTABOP_map_grant_ref, ARGS + 2, 1)).toBe(-EFAULT);
      expect(cpu.hypercall(OP, GNTTABOP_map_grant_ref, 0, 0x7fffffff)).toBe(-EFAULT);
      expect(cpu.hypercall(OP, GNTTABOP_map_grant_ref, ARGS, -1)).toBe(-EINVAL);
      expect(cpu.hypercall(OP, GNTTABOP_map_grant_ref, ARGS, 0)).toBe(0);
    });
  });
});
