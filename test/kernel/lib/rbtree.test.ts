import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  rb_entry,
  rb_erase,
  rb_first,
  rb_insert_color,
  rb_last,
  rb_link_node,
  rb_next,
  rb_node,
  rb_prev,
  rb_replace_node,
  rb_root,
} from "xenolith/linux/rbtree";

function insert(root: rb_root, key: number): rb_node {
  const node = new rb_node(key);
  let parent: rb_node | null = null;
  let side: "left" | "right" = "left";
  for (let n = root.rb_node; n !== null; n = side === "left" ? n.rb_left : n.rb_right) {
    parent = n;
    side = key < rb_entry<number>(n) ? "left" : "right";
  }
  rb_link_node(node, parent, root, side);
  rb_insert_color(node, root);
  return node;
}

/** The black height; throws where a rule is broken. */
function check(node: rb_node | null, parent: rb_node | null): number {
  if (node === null) return 1;
  if (node.rb_parent !== parent) throw new Error("wrong parent");
  if (node.red && (parent === null || parent.red)) throw new Error("a red node below a red one, or a red root");
  const left = check(node.rb_left, node);
  if (left !== check(node.rb_right, node)) throw new Error("black heights differ");
  return left + (node.red ? 0 : 1);
}

function keys(root: rb_root): number[] {
  const found: number[] = [];
  for (let n = rb_first(root); n !== null; n = rb_next(n)) found.push(rb_entry<number>(n));
  return found;
}

test("rbtree: stays sorted and balanced under any insertions and removals, duplicates included", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 120 }), fc.array(fc.nat(), { maxLength: 120 }), (added, removed) => {
      const root = new rb_root();
      const nodes: rb_node[] = [];
      const expected: number[] = [];
      added.forEach((key, step) => {
        nodes.push(insert(root, key));
        expected.push(key);
        check(root.rb_node, null);
        if (step >= removed.length || removed[step] % 3 === 0) return;
        const at = removed[step] % nodes.length;
        rb_erase(nodes[at], root);
        nodes.splice(at, 1);
        expected.splice(at, 1);
        check(root.rb_node, null);
      });
      expect(keys(root)).toEqual([...expected].sort((a, b) => a - b));
    }),
    { seed: 3 },
  );
});

test("rbtree: every permutation of six keys, removed in every rotation", () => {
  const permute = (list: number[]): number[][] =>
    list.length < 2 ? [list] : list.flatMap((x) => permute(list.filter((y) => y !== x)).map((rest) => [x, ...rest]));
  for (const order of permute([1, 2, 3, 4, 5, 6])) {
    const root = new rb_root();
    const nodes = order.map((key) => insert(root, key));
    for (let i = 0; i < nodes.length; i++) {
      rb_erase(nodes[i], root);
      check(root.rb_node, null);
      expect(keys(root)).toHaveLength(nodes.length - i - 1);
    }
  }
});

test("rb_prev, rb_last and rb_replace_node", () => {
  const root = new rb_root();
  const nodes = [5, 2, 8].map((key) => insert(root, key));
  expect(rb_entry<number>(rb_last(root) as rb_node)).toBe(8);
  expect(rb_prev(nodes[0])).toBe(nodes[1]);
  expect(rb_prev(nodes[1])).toBeNull();
  const replacement = new rb_node(5);
  rb_replace_node(nodes[0], replacement, root);
  check(root.rb_node, null);
  expect(keys(root)).toEqual([2, 5, 8]);
});
