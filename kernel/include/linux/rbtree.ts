/**
 * `<linux/rbtree.h>`: the red-black tree. The user descends by himself, links the new node, and lets the tree repair itself:
 *
 *   let parent: rb_node | null = null; let left = true;
 *   for (let n = root.rb_node; n !== null; n = left ? n.rb_left : n.rb_right) { parent = n; left = key < key_of(n); }
 *   rb_link_node(node, parent, root, left ? "left" : "right");
 *   rb_insert_color(node, root);
 *
 * Rules: a red node has black children; every path from a node down to a missing child has the same number of black nodes.
 */
import type { embedded } from "./kernel";

export class rb_node implements embedded {
  rb_parent: rb_node | null = null;
  rb_left: rb_node | null = null;
  rb_right: rb_node | null = null;
  red = true;
  readonly container: unknown;

  constructor(container: unknown) {
    this.container = container;
  }
}

export class rb_root {
  rb_node: rb_node | null = null;
}

export function RB_EMPTY_ROOT(root: rb_root): boolean {
  return root.rb_node === null;
}

/** The struct that embeds the node. */
export function rb_entry<T>(node: rb_node): T {
  return node.container as T;
}

/** Hangs `node` below `parent`, whose child on that side is missing; below the root if `parent` is null. Then: `rb_insert_color`. */
export function rb_link_node(node: rb_node, parent: rb_node | null, root: rb_root, side: "left" | "right"): void {
  node.rb_parent = parent;
  node.rb_left = null;
  node.rb_right = null;
  node.red = true;
  if (parent === null) root.rb_node = node;
  else if (side === "left") parent.rb_left = node;
  else parent.rb_right = node;
}

/** Puts `replacement` where `node` hangs on its parent. */
function change_child(node: rb_node, replacement: rb_node | null, parent: rb_node | null, root: rb_root): void {
  if (parent === null) root.rb_node = replacement;
  else if (parent.rb_left === node) parent.rb_left = replacement;
  else parent.rb_right = replacement;
}

/** The right child comes up, the node becomes its left child. */
function rotate_left(node: rb_node, root: rb_root): void {
  const up = node.rb_right as rb_node;
  node.rb_right = up.rb_left;
  if (up.rb_left !== null) up.rb_left.rb_parent = node;
  up.rb_parent = node.rb_parent;
  change_child(node, up, node.rb_parent, root);
  up.rb_left = node;
  node.rb_parent = up;
}

/** The left child comes up, the node becomes its right child. */
function rotate_right(node: rb_node, root: rb_root): void {
  const up = node.rb_left as rb_node;
  node.rb_left = up.rb_right;
  if (up.rb_right !== null) up.rb_right.rb_parent = node;
  up.rb_parent = node.rb_parent;
  change_child(node, up, node.rb_parent, root);
  up.rb_right = node;
  node.rb_parent = up;
}

/** Recolours and rotates until no red node has a red child. */
export function rb_insert_color(inserted: rb_node, root: rb_root): void {
  let node = inserted;
  let parent = node.rb_parent;
  while (parent !== null && parent.red) {
    const grand = parent.rb_parent as rb_node; // a red node is not the root
    const uncle = parent === grand.rb_left ? grand.rb_right : grand.rb_left;
    if (uncle !== null && uncle.red) {
      parent.red = false;
      uncle.red = false;
      grand.red = true;
      node = grand;
    } else {
      node = lift_parent(node, parent, grand, root);
    }
    parent = node.rb_parent;
  }
  (root.rb_node as rb_node).red = false;
}

/** The uncle is black: one or two rotations make the middle key of the three the black top. Returns a node whose parent is black. */
function lift_parent(node: rb_node, parent: rb_node, grand: rb_node, root: rb_root): rb_node {
  let top = parent;
  if (parent === grand.rb_left) {
    if (node === parent.rb_right) {
      rotate_left(parent, root);
      top = node;
    }
    rotate_right(grand, root);
  } else {
    if (node === parent.rb_left) {
      rotate_right(parent, root);
      top = node;
    }
    rotate_left(grand, root);
  }
  top.red = false;
  grand.red = true;
  return grand;
}

/** Takes `node` out of the tree. */
export function rb_erase(node: rb_node, root: rb_root): void {
  if (node.rb_left !== null && node.rb_right !== null) swap_with_next(node, root);
  const child = node.rb_left ?? node.rb_right;
  const parent = node.rb_parent;
  if (child !== null) child.rb_parent = parent;
  change_child(node, child, parent, root);
  if (!node.red) {
    if (child !== null && child.red) child.red = false;
    else repair_short_side(child, parent, root);
  }
}

/** Exchanges the places of `node`, which has two children, and its successor, which has at most one. */
function swap_with_next(node: rb_node, root: rb_root): void {
  let next = node.rb_right as rb_node;
  while (next.rb_left !== null) next = next.rb_left;
  const next_parent = next.rb_parent as rb_node;
  const next_right = next.rb_right;
  const next_red = next.red;
  change_child(node, next, node.rb_parent, root);
  next.rb_parent = node.rb_parent;
  next.red = node.red;
  next.rb_left = node.rb_left;
  (next.rb_left as rb_node).rb_parent = next;
  if (next_parent === node) {
    next.rb_right = node;
    node.rb_parent = next;
  } else {
    next.rb_right = node.rb_right;
    (next.rb_right as rb_node).rb_parent = next;
    next_parent.rb_left = node;
    node.rb_parent = next_parent;
  }
  node.rb_left = null;
  node.rb_right = next_right;
  if (next_right !== null) next_right.rb_parent = node;
  node.red = next_red;
}

/** Paths through `start` have one black node too few; `start` itself is black or missing. */
function repair_short_side(start: rb_node | null, start_parent: rb_node | null, root: rb_root): void {
  let node = start;
  let parent = start_parent;
  while (parent !== null && (node === null || !node.red)) {
    const is_left = node === parent.rb_left;
    const sibling = black_sibling(parent, is_left, root);
    const far = is_left ? sibling.rb_right : sibling.rb_left;
    const near = is_left ? sibling.rb_left : sibling.rb_right;
    if ((far !== null && far.red) || (near !== null && near.red)) {
      borrow_from_sibling(parent, sibling, is_left, root);
      return;
    }
    sibling.red = true; // now both sides are one short: go on above
    node = parent;
    parent = node.rb_parent;
  }
  if (node !== null) node.red = false;
}

/** The sibling of the short side; a red one is first rotated above the parent. */
function black_sibling(parent: rb_node, is_left: boolean, root: rb_root): rb_node {
  const sibling = (is_left ? parent.rb_right : parent.rb_left) as rb_node; // the other side is longer, so it is there
  if (!sibling.red) return sibling;
  sibling.red = false;
  parent.red = true;
  if (is_left) rotate_left(parent, root);
  else rotate_right(parent, root);
  return (is_left ? parent.rb_right : parent.rb_left) as rb_node;
}

/** A child of the sibling is red: rotations move a black node to the short side, and all paths are equal again. */
function borrow_from_sibling(parent: rb_node, sibling: rb_node, is_left: boolean, root: rb_root): void {
  let top = sibling;
  const far = is_left ? sibling.rb_right : sibling.rb_left;
  if (far === null || !far.red) {
    top = (is_left ? sibling.rb_left : sibling.rb_right) as rb_node;
    top.red = false;
    sibling.red = true;
    if (is_left) rotate_right(sibling, root);
    else rotate_left(sibling, root);
  }
  top.red = parent.red;
  parent.red = false;
  ((is_left ? top.rb_right : top.rb_left) as rb_node).red = false;
  if (is_left) rotate_left(parent, root);
  else rotate_right(parent, root);
}

/** The node with the smallest key, or null. */
export function rb_first(root: rb_root): rb_node | null {
  let node = root.rb_node;
  while (node !== null && node.rb_left !== null) node = node.rb_left;
  return node;
}

/** The node with the largest key, or null. */
export function rb_last(root: rb_root): rb_node | null {
  let node = root.rb_node;
  while (node !== null && node.rb_right !== null) node = node.rb_right;
  return node;
}

/** The next larger node, or null. */
export function rb_next(node: rb_node): rb_node | null {
  if (node.rb_right !== null) {
    let next = node.rb_right;
    while (next.rb_left !== null) next = next.rb_left;
    return next;
  }
  let below = node;
  let parent = node.rb_parent;
  while (parent !== null && below === parent.rb_right) {
    below = parent;
    parent = below.rb_parent;
  }
  return parent;
}

/** The next smaller node, or null. */
export function rb_prev(node: rb_node): rb_node | null {
  if (node.rb_left !== null) {
    let previous = node.rb_left;
    while (previous.rb_right !== null) previous = previous.rb_right;
    return previous;
  }
  let below = node;
  let parent = node.rb_parent;
  while (parent !== null && below === parent.rb_left) {
    below = parent;
    parent = below.rb_parent;
  }
  return parent;
}

/** Puts `replacement`, of equal key, in the place of `victim`. */
export function rb_replace_node(victim: rb_node, replacement: rb_node, root: rb_root): void {
  replacement.rb_parent = victim.rb_parent;
  replacement.rb_left = victim.rb_left;
  replacement.rb_right = victim.rb_right;
  replacement.red = victim.red;
  if (victim.rb_left !== null) victim.rb_left.rb_parent = replacement;
  if (victim.rb_right !== null) victim.rb_right.rb_parent = replacement;
  change_child(victim, replacement, victim.rb_parent, root);
}
