import { describe, expect, it } from "vitest";
import {
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_writing,
  grant_entry_v1,
  grant_entry_v2,
} from "../../../hal/abi/grant_table";
import { set_field } from "../../../hal/abi/layout";
import { MASK_XENSTORE_IDX, XENSTORE_RING_SIZE, XS_WRITE, xsd_sockmsg } from "../../../hal/abi/xs_wire";
import { golden, hex } from "./golden";

interface Entry {
  hex: string;
}
interface Requests {
  grant_v1_ro: Entry;
  grant_v1_rw_inuse: Entry;
  grant_v2_full: Entry;
  grant_v2_sub: Entry;
  xs_write: Entry;
}
const requests = golden<{ xen_x86_64: Requests; xen_x86_32: Requests }>("requests.json");

function buffer(size: number, fill = 0): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(size).fill(fill);
  return { bytes, view: new DataView(bytes.buffer) };
}

describe.each(["xen_x86_64", "xen_x86_32"] as const)("requests.json: %s", (which) => {
  const theirs = requests[which];
  const v1 = which === "xen_x86_64" ? grant_entry_v1 : grant_entry_v1.x86_32;
  const v2 = which === "xen_x86_64" ? grant_entry_v2 : grant_entry_v2.x86_32;

  it("version 1 grant entries have the same bytes", () => {
    const entry = (flags: number, domid: number, frame: number): string => {
      const { bytes, view } = buffer(v1.size);
      set_field(view, 0, v1, "flags", flags);
      set_field(view, 0, v1, "domid", domid);
      set_field(view, 0, v1, "frame", frame);
      return hex(bytes);
    };
    expect(entry(GTF_permit_access | GTF_readonly, 32752, 0x12345678)).toBe(theirs.grant_v1_ro.hex);
    expect(entry(GTF_permit_access | GTF_reading | GTF_writing, 0, 0xfffffffe)).toBe(theirs.grant_v1_rw_inuse.hex);
  });

  it("version 2 grant entries have the same bytes", () => {
    const full = buffer(v2.size, 0xaa);
    set_field(full.view, 0, v2, "hdr.flags", GTF_permit_access);
    set_field(full.view, 0, v2, "hdr.domid", 3);
    full.view.setBigUint64(v2.fields["full_page.frame"][0], 0x0011223344556677n, true);
    expect(hex(full.bytes)).toBe(theirs.grant_v2_full.hex);

    const sub = buffer(v2.size);
    set_field(sub.view, 0, v2, "hdr.flags", GTF_permit_access | GTF_sub_page);
    set_field(sub.view, 0, v2, "hdr.domid", 4);
    set_field(sub.view, 0, v2, "sub_page.page_off", 256);
    set_field(sub.view, 0, v2, "sub_page.length", 512);
    set_field(sub.view, 0, v2, "sub_page.frame", 66);
    expect(hex(sub.bytes)).toBe(theirs.grant_v2_sub.hex);
  });

  it("a xenstore write has the same bytes", () => {
    const body = new TextEncoder().encode("device/vbd/51712/state\0" + "4");
    const { bytes, view } = buffer(xsd_sockmsg.size + body.length);
    set_field(view, 0, xsd_sockmsg, "type", XS_WRITE);
    set_field(view, 0, xsd_sockmsg, "req_id", 7);
    set_field(view, 0, xsd_sockmsg, "tx_id", 17);
    set_field(view, 0, xsd_sockmsg, "len", body.length);
    bytes.set(body, xsd_sockmsg.size);
    expect(hex(bytes)).toBe(theirs.xs_write.hex);
  });
});

it("MASK_XENSTORE_IDX: an index that wrapped or went past 2^31 still names a byte of the ring", () => {
  expect(MASK_XENSTORE_IDX(XENSTORE_RING_SIZE)).toBe(0);
  expect(MASK_XENSTORE_IDX(0xffffffff)).toBe(XENSTORE_RING_SIZE - 1);
  expect(MASK_XENSTORE_IDX(0x80000001)).toBe(1);
});
