/**
 * What an engine hands to a guest kernel, and what the kernel hands back. The whole of the boundary that is not shared memory.
 *
 * The kernel trusts the engine. The engine trusts nothing that comes from the guest: every argument of `hypercall` is an allegation.
 */

/** Given to `GuestKernel.boot` once per domain. */
export interface Hal {
  readonly domid: number;
  /** The control page (`control.ts`) as words. */
  readonly control: Uint32Array;
  /** The control page as doubles. */
  readonly clock: Float64Array;
  /** Frame number of this domain's page 0; its own page p is machine frame `mfn_base + p`. */
  readonly mfn_base: number;
  /** Pages of RAM. start_info is in page 0 (see `hypervisor/domain-builder.ts`). */
  readonly nr_pages: number;
  /** A view of 1024 words over own page `pfn`. Every call makes a new view: make one per page and keep it. Throws RangeError beyond RAM. */
  page(pfn: number): Uint32Array;
  /**
   * The view over a frame of another domain that a successful GNTTABOP_map_grant_ref has just mapped here. The same view comes back each time,
   * and it survives an unmap: it is the caller's duty (`hal/guest/page.ts`) not to touch it then. Throws if this domain has not mapped it.
   */
  frame(mfn: number): Uint32Array;
  /** A hypercall by Xen's number. Arguments are int32; an address is a byte offset into own RAM. Returns 0 or more, or a negative errno. */
  hypercall(op: number, a0: number, a1: number, a2: number): number;
  /** Evaluates the bundle `modules/NAME.js` or `programs/NAME.js` of the image: its factory, or null if the image has none of that name. */
  load(kind: "modules" | "programs", name: string): BundleFactory | null;
  /** The image's manifest entry of a bundle as JSON text (`build/image-format.ts`), or null. For modinfo and dependencies. */
  manifest(kind: "modules" | "programs", name: string): string | null;
  /** Names of all bundles of the kind, sorted. */
  list(kind: "modules" | "programs"): string[];
}

/** A module or program bundle, evaluated: call it with a resolver of kernel symbols and an object that receives its exports. */
export type BundleFactory = (ksym: (name: string) => unknown, exports: Record<string, unknown>) => void;

/** What the kernel bundle exports. */
export interface GuestKernel {
  /** Prepares the kernel on vCPU 0 and returns; nothing runs before the first `enter`. */
  boot(hal: Hal): void;
  /** Runs one slice of the vCPU named in the control page: upcalls, then tasks, until it blocks or the slice ends. */
  enter(): void;
}
