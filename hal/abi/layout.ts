/**
 * How the machine's structs are written down: one table per struct, each offset spelled out, checked when it is loaded and, by the tests,
 * against what a C compiler printed from the public headers.
 *
 * Beside its table each struct has flat constants (`GRANT_ENTRY_V1_FRAME`, `GRANT_ENTRY_V1_SIZE`) for hot code, since a minifier folds
 * those; the tests hold them to the table. Everything is little-endian. The table is the layout of an x86_64 guest; where i386 differs,
 * `x86_32` holds the other one, and where it does not, the same.
 */

/** Type of a field: an integer, or the number of bytes of something that has parts of its own. */
export type field_type = "u8" | "s8" | "u16" | "s16" | "u32" | "s32" | "u64" | number;

/** Offset in bytes, and type. */
export type field = readonly [offset: number, type: field_type];

/** A struct for one ABI. `size` and `align` in bytes, as C's sizeof and alignof. */
export interface layout<F extends string = string> {
  readonly size: number;
  readonly align: number;
  readonly fields: Readonly<Record<F, field>>;
}

/** A struct for both ABIs. */
export interface struct_layout<F extends string = string, G extends string = F> extends layout<F> {
  readonly name: string;
  readonly x86_32: layout<G>;
}

const SIZES: Readonly<Record<string, number>> = { u8: 1, s8: 1, u16: 2, s16: 2, u32: 4, s32: 4, u64: 8 };

/** Bytes of a field. */
export function field_size(type: field_type): number {
  return typeof type === "number" ? type : SIZES[type];
}

function check(name: string, table: layout): void {
  if (table.size % table.align !== 0) throw new RangeError(`${name}: its size is not a multiple of its alignment`);
  for (const [field_name, [offset, type]] of Object.entries<field>(table.fields)) {
    const align = typeof type === "number" ? 1 : Math.min(SIZES[type], table.align);
    if (offset % align !== 0) throw new RangeError(`${name}.${field_name} is not aligned`);
    if (offset + field_size(type) > table.size) throw new RangeError(`${name}.${field_name} reaches beyond the struct`);
  }
}

/** Declares a struct. Throws RangeError on a table that no compiler could have made. */
export function struct<F extends string, G extends string = F>(
  name: string,
  x86_64: layout<F>,
  x86_32?: layout<G>,
): struct_layout<F, G> {
  check(name, x86_64);
  if (x86_32 !== undefined) check(`x86_32 ${name}`, x86_32);
  return { name, ...x86_64, x86_32: x86_32 ?? (x86_64 as unknown as layout<G>) };
}

/**
 * Reads a field of the struct at byte `base`. For code that is not hot. Throws RangeError for a 64-bit value from 2^53 up (read its halves if
 * it may be one) and for a field that is not an integer.
 */
export function get_field<F extends string>(view: DataView, base: number, of: layout<F>, name: F): number {
  const [offset, type] = of.fields[name];
  const at = base + offset;
  switch (type) {
    case "u8":
      return view.getUint8(at);
    case "s8":
      return view.getInt8(at);
    case "u16":
      return view.getUint16(at, true);
    case "s16":
      return view.getInt16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "s32":
      return view.getInt32(at, true);
    case "u64":
      return checked_u64(view.getUint32(at, true), view.getUint32(at + 4, true));
    default:
      throw new RangeError(`${name} is not an integer`);
  }
}

/** Writes a field of the struct at byte `base`; narrower fields keep the low bits. Throws RangeError as get_field does. */
export function set_field<F extends string>(view: DataView, base: number, of: layout<F>, name: F, value: number): void {
  const [offset, type] = of.fields[name];
  const at = base + offset;
  if (typeof type === "number") throw new RangeError(`${name} is not an integer`);
  const size = SIZES[type];
  if (size === 1) view.setUint8(at, value);
  else if (size === 2) view.setUint16(at, value, true);
  else view.setUint32(at, value >>> 0, true);
  if (size === 8) view.setUint32(at + 4, high_word(value), true);
}

/** A 64-bit value from its halves. Throws RangeError from 2^53 up. */
export function checked_u64(low: number, high: number): number {
  if (high >= 0x20_0000) throw new RangeError("a 64-bit value is too large to compute with");
  return high * 0x1_0000_0000 + low;
}

/** The upper 32 bits of a number from 0 to 2^53 - 1. Throws RangeError outside of that. */
export function high_word(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError("not a 64-bit value that can be computed with");
  return Math.floor(value / 0x1_0000_0000);
}
