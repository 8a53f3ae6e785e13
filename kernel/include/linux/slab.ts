/** `<linux/slab.h>`: there is nothing to allocate; objects are made with `new` and recycled by their owners on hot paths. */
export * from "./gfp";

/** A free list of recycled objects, last in, first out, for hot paths (`kmem_cache`). */
export class kmem_cache<T> {
  readonly name: string;
  /** Objects handed out and not given back, for the leak ledger. */
  active = 0;
  private readonly free: T[] = [];
  private readonly make: () => T;

  constructor(name: string, make: () => T) {
    this.name = name;
    this.make = make;
  }

  /** A recycled object, its fields as they were when it was freed, or a new one. */
  alloc(): T {
    this.active++;
    return this.free.length > 0 ? (this.free.pop() as T) : this.make();
  }

  /** Takes an object back. */
  release(object: T): void {
    this.active--;
    this.free.push(object);
  }
}

export function kmem_cache_alloc<T>(cache: kmem_cache<T>, _gfp: number): T {
  return cache.alloc();
}

export function kmem_cache_free<T>(cache: kmem_cache<T>, object: T): void {
  cache.release(object);
}
