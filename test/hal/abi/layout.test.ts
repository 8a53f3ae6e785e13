import { describe, expect, it } from "vitest";
import * as event_channel from "../../../hal/abi/event_channel";
import * as grant_table from "../../../hal/abi/grant_table";
import * as blkif from "../../../hal/abi/io/blkif";
import * as console_io from "../../../hal/abi/io/console";
import * as protocols from "../../../hal/abi/io/protocols";
import * as ring from "../../../hal/abi/io/ring";
import * as vbd from "../../../hal/abi/io/vbd";
import * as xenbus from "../../../hal/abi/io/xenbus";
import {
  checked_u64,
  field_size,
  get_field,
  high_word,
  set_field,
  struct,
  type field,
  type layout,
  type struct_layout,
} from "../../../hal/abi/layout";
import * as memory from "../../../hal/abi/memory";
import * as sched from "../../../hal/abi/sched";
import * as vcpu from "../../../hal/abi/vcpu";
import * as version from "../../../hal/abi/version";
import * as xen from "../../../hal/abi/xen";
import * as xs_wire from "../../../hal/abi/xs_wire";
import { golden, type AbiFile, type GoldenStruct } from "./golden";

const abi = golden<AbiFile>("abi.json");
const exported: Record<string, unknown> = Object.assign(
  {},
  ...[event_channel, grant_table, blkif, console_io, protocols, ring, vbd, xenbus],
  ...[memory, sched, vcpu, version, xen, xs_wire],
);

function isStruct(value: unknown): value is struct_layout {
  return typeof value === "object" && value !== null && "fields" in value && "x86_32" in value;
}

const structs = new Map(
  Object.values(exported)
    .filter(isStruct)
    .map((s) => [s.name, s]),
);

/** Structs of abi.json that are private to one end or are no struct; the rings are compared in `io/ring.test.ts`. */
const NOT_DECLARED = new Set(["grant_status_t", "blkif_sring", "blkif_front_ring"]);
const PADDING = /^(__)?pad\d*$/;

/** Offset and size of a field of `table` that C calls `name`; `seg[3]` is worked out from `seg`. */
function lookUp(table: layout, name: string, elementSize: number): { offset: number; size: number } | undefined {
  const element = /^(.*)\[(\d+)\]$/.exec(name);
  const found: field | undefined = (table.fields as Record<string, field>)[element === null ? name : element[1]];
  if (found === undefined) return undefined;
  if (element === null) return { offset: found[0], size: field_size(found[1]) };
  return { offset: found[0] + Number(element[2]) * elementSize, size: elementSize };
}

function compare(ours: layout, theirs: GoldenStruct): void {
  expect(ours.size, "size").toBe(theirs.size);
  expect(ours.align, "align").toBe(theirs.align);
  for (const [name, place] of Object.entries(theirs.fields)) {
    if (!PADDING.test(name)) expect(lookUp(ours, name, place.size), name).toEqual(place);
  }
}

describe.each(["xen_x86_64", "xen_x86_32"] as const)("abi.json: %s", (which) => {
  const { structs: theirs, constants } = abi[which];

  it.each(Object.keys(theirs).filter((name) => !NOT_DECLARED.has(name)))(
    "struct %s lies as the compiler put it",
    (name) => {
      const ours = structs.get(name);
      expect(ours).toBeDefined();
      if (ours) compare(which === "xen_x86_64" ? ours : ours.x86_32, theirs[name]);
    },
  );

  it("every constant has its value", () => {
    const x86_32: Record<string, unknown> = {
      EVTCHN_2L_NR_CHANNELS: event_channel.EVTCHN_2L_NR_CHANNELS_X86_32,
      XEN_IO_PROTO_ABI_NATIVE: protocols.XEN_IO_PROTO_ABI_X86_32,
    };
    const ours = which === "xen_x86_64" ? exported : { ...exported, ...x86_32 };
    for (const [name, value] of Object.entries(constants)) expect(ours[name], name).toBe(value);
  });

  it("grant status texts and xenstore errors are the same", () => {
    expect(grant_table.GNTTABOP_error_msgs).toEqual(abi[which].gnttabop_error_msgs);
    expect(xs_wire.xsd_errors).toEqual(abi[which].xsd_errors);
  });
});

describe.each(["linux_x86_64", "linux_x86_32"] as const)("abi.json: %s", (which) => {
  const { structs: theirs, constants } = abi[which];
  const parts: Record<string, struct_layout> = {
    rw: blkif.blkif_request,
    discard: blkif.blkif_request_discard,
    other: blkif.blkif_request_other,
    indirect: blkif.blkif_request_indirect,
  };
  const requests: [string, boolean][] = [
    ["blkif_request(native)", which === "linux_x86_64"],
    ["blkif_x86_32_request", false],
    ["blkif_x86_64_request", true],
  ];

  it.each(requests)("%s has each of its four forms where ours has it", (name, is64) => {
    const layoutOf = (part: string): layout => (is64 ? parts[part] : parts[part].x86_32);
    expect(layoutOf("rw").size).toBe(theirs[name].size);
    for (const [path, place] of Object.entries(theirs[name].fields)) {
      const [, part, rest] = /^u\.(\w+)\.(.+)$/.exec(path) ?? [];
      if (part === undefined || rest.startsWith("_pad")) continue;
      expect(lookUp(layoutOf(part), rest, place.size), path).toEqual(place);
    }
  });

  it.each(["blkif_request_segment", "blkif_response", "blkif_sring_entry", "grant_entry_v1"])("struct %s", (name) => {
    const ours = structs.get(name) as struct_layout;
    compare(which === "linux_x86_64" ? ours : ours.x86_32, theirs[name]);
  });

  it("constants that are not the drivers' own have their value", () => {
    const drivers = /^(MAX_INDIRECT|XEN_PAGES_PER|SEGS_PER|INDIRECT_PAGES|XEN_IO_PROTO_ABI_NATIVE)/;
    for (const [name, value] of Object.entries({ ...constants, ...abi.linux_driver_constants })) {
      if (!drivers.test(name) && name !== "_source") expect(exported[name], name).toBe(value);
    }
    expect(blkif.BLKIF_SEGS_PER_INDIRECT_FRAME).toBe(constants.SEGS_PER_INDIRECT_FRAME);
  });
});

/** Flat names of a struct; i386 variants exist for the block protocol only. */
const upper = (name: string, rest: string): string => `${name}_${rest}`.replace(/[^A-Za-z0-9]+/g, "_").toUpperCase();

describe("flat constants", () => {
  it.each([...structs.values()].map((s) => [s.name, s] as const))("%s: size and offsets are the table's", (name, s) => {
    expect(exported[upper(name, "size")]).toBe(s.size);
    for (const [fieldName, [offset]] of Object.entries<field>(s.fields)) {
      expect(exported[upper(name, fieldName)], fieldName).toBe(offset);
    }
  });

  it("i386 block requests: size and offsets are the table's", () => {
    const forms = [
      blkif.blkif_request,
      blkif.blkif_request_discard,
      blkif.blkif_request_indirect,
      blkif.blkif_request_other,
    ];
    for (const form of forms as struct_layout[]) {
      const prefix = form.name.replace("blkif_", "blkif_x86_32_");
      expect(exported[upper(prefix, "size")], form.name).toBe(form.x86_32.size);
      for (const [fieldName, [offset]] of Object.entries<field>(form.x86_32.fields)) {
        expect(exported[upper(prefix, fieldName)], fieldName).toBe(offset);
      }
    }
    expect(blkif.BLKIF_SLOT_SIZE).toBe(blkif.blkif_sring_entry.size);
    expect(blkif.BLKIF_X86_64_SLOT_SIZE).toBe(blkif.blkif_sring_entry.size);
    expect(blkif.BLKIF_X86_32_SLOT_SIZE).toBe(blkif.blkif_sring_entry.x86_32.size);
  });
});

describe("structs without a golden table", () => {
  /** Second member of a union, and fields after padding that C spells out. */
  const EXEMPT = new Set(["start_info.console.dom0.info_off", "start_info.console.dom0.info_size"]);
  EXEMPT.add("vcpu_time_info.tsc_timestamp");
  /** Structs that are aligned as their first field is not. */
  EXEMPT.add("start_info.console.domU.mfn");
  EXEMPT.add("shared_info.arch");
  const unknown = [...structs.values()].filter((s) => !(s.name in abi.xen_x86_64.structs) && s.name !== "sring");

  it.each(unknown.map((s) => [s.name, s] as const))(
    "%s has no hole that C would not make, in either ABI",
    (name, s) => {
      for (const table of [s, s.x86_32]) {
        let end = 0;
        for (const [fieldName, [offset, type]] of Object.entries<field>(table.fields)) {
          const align = typeof type === "number" ? 1 : Math.min(field_size(type), table.align);
          const natural = Math.ceil(end / align) * align;
          if (!EXEMPT.has(`${name}.${fieldName}`) && offset >= end) expect(offset, fieldName).toBe(natural);
          end = Math.max(end, offset + field_size(type));
        }
        expect(Math.ceil(end / table.align) * table.align).toBe(table.size);
      }
    },
  );

  it("the sizes that Xen documents", () => {
    expect([xen.START_INFO_SIZE, xen.start_info.x86_32.size]).toEqual([1168, 1112]);
    expect([vcpu.VCPU_RUNSTATE_INFO_SIZE, vcpu.vcpu_runstate_info.x86_32.size]).toEqual([48, 44]);
    expect(xen.VCPU_TIME_INFO_SIZE).toBe(32);
    expect(console_io.XENCONS_INTERFACE_SIZE).toBe(3088);
  });
});

describe("struct()", () => {
  it("refuses a field that reaches beyond the end", () => {
    expect(() => struct("bad", { size: 4, align: 4, fields: { a: [0, "u64"] } })).toThrow("bad.a reaches beyond");
  });

  it("refuses a field that is not aligned, and takes a u64 at 4 where the struct's alignment is 4", () => {
    expect(() => struct("bad", { size: 8, align: 4, fields: { a: [2, "u32"] } })).toThrow("bad.a is not aligned");
    expect(() => struct("good", { size: 12, align: 4, fields: { a: [4, "u64"] } })).not.toThrow();
    expect(() => struct("bad", { size: 16, align: 8, fields: { a: [4, "u64"] } })).toThrow("not aligned");
  });

  it("refuses a size that is not a multiple of the alignment, in the i386 table too", () => {
    const good = { size: 8, align: 8, fields: { a: [0, "u64"] } } as const;
    expect(() => struct("bad", { size: 12, align: 8, fields: {} })).toThrow("multiple");
    expect(() => struct("bad", good, { size: 6, align: 4, fields: { a: [0, "u32"] } })).toThrow("x86_32 bad");
  });
});

describe("get_field and set_field", () => {
  const every = struct("every", {
    size: 32,
    align: 8,
    fields: {
      a: [0, "u8"],
      b: [1, "s8"],
      c: [2, "u16"],
      d: [4, "s16"],
      e: [8, "u32"],
      f: [12, "s32"],
      g: [16, "u64"],
      h: [24, 8],
    },
  });
  const view = new DataView(new ArrayBuffer(40));

  it.each([
    ["a", 0xfe, "fe"],
    ["b", -2, "fe"],
    ["c", 0x1234, "3412"],
    ["d", -2, "feff"],
    ["e", 0xfffffffe, "feffffff"],
    ["f", -2, "feffffff"],
    ["g", 2 ** 53 - 2, "feffffffffff1f00"],
  ] as const)("field %s keeps %d and is little-endian", (name, value, bytes) => {
    set_field(view, 8, every, name, value);
    expect(get_field(view, 8, every, name)).toBe(value);
    const at = 8 + every.fields[name][0];
    expect(Buffer.from(view.buffer, at, bytes.length / 2).toString("hex")).toBe(bytes);
  });

  it("a 64-bit value that is no exact number is refused both ways", () => {
    view.setUint32(8 + 20, 0x20_0000, true);
    expect(() => get_field(view, 8, every, "g")).toThrow(RangeError);
    expect(() => set_field(view, 8, every, "g", 2 ** 53)).toThrow(RangeError);
    expect(() => set_field(view, 8, every, "g", -1)).toThrow(RangeError);
    expect(() => high_word(0.5)).toThrow(RangeError);
    expect(checked_u64(0xffffffff, 0x1fffff)).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => checked_u64(0, 0x200000)).toThrow(RangeError);
  });

  it("a field with parts of its own is refused", () => {
    expect(() => get_field(view, 8, every, "h")).toThrow("h is not an integer");
    expect(() => set_field(view, 8, every, "h", 0)).toThrow("h is not an integer");
  });
});
