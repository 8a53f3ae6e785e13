import { describe, expect, test } from "vitest";
import { XS_DIRECTORY, XS_GET_PERMS, XS_MKDIR, XS_READ, XS_RM, XS_SET_PERMS } from "../../../../hal/abi/xs_wire";
import { StoreWorld } from "./store-world";

describe("who may do what", () => {
  const rows: [string, string[], "r" | "w" | "rw" | ""][] = [
    ["the default entry n: nothing", ["n0"], ""],
    ["the default entry r", ["r0"], "r"],
    ["the default entry w", ["w0"], "w"],
    ["the default entry b", ["b0"], "rw"],
    ["its own entry r", ["n0", "r7"], "r"],
    ["its own entry w", ["n0", "w7"], "w"],
    ["its own entry b", ["n0", "b7"], "rw"],
    ["its own entry n, against a default of b", ["b0", "n7"], ""],
    ["the first of two entries of its own", ["n0", "r7", "b7"], "r"],
    ["somebody else's entry", ["n0", "b8"], ""],
    ["the owner, whatever the letter", ["n7"], "rw"],
    ["the owner, whatever another entry says", ["n7", "n7"], "rw"],
  ];
  test.each(rows)("%s", (_name, perms, expected) => {
    const world = new StoreWorld();
    const guest = world.guest(7);
    world.introduce(8);
    const host = world.store.connectHost();
    host.write("/node", "v");
    host.setPerms("/node", perms);
    expect(guest.ask(XS_READ, ["/node"])).toBe(expected.includes("r") ? "v" : "EACCES");
    expect(guest.ask(XS_DIRECTORY, ["/node"])).toBe(expected.includes("r") ? "" : "EACCES");
    expect(guest.ask(XS_GET_PERMS, ["/node"])).toBe(expected.includes("r") ? perms.join(" ") : "EACCES");
    expect(guest.write("/node", "w")).toBe(expected.includes("w") ? "OK" : "EACCES");
    expect(guest.ask(XS_MKDIR, ["/node"])).toBe(expected.includes("w") ? "OK" : "EACCES");
    expect(guest.ask(XS_RM, ["/node"])).toBe(expected.includes("w") ? "OK" : "EACCES");
  });

  test("a missing node is ENOENT only below a node that the client may use", () => {
    const world = new StoreWorld();
    const guest = world.guest(7);
    world.store.connectHost().mkdir("/secret");
    expect(guest.ask(XS_READ, ["x/y/z"])).toBe("ENOENT");
    expect(guest.ask(XS_READ, ["/secret/x"])).toBe("EACCES");
    expect(guest.ask(XS_READ, ["/anything"])).toBe("EACCES");
    expect(guest.write("/secret/x/y", "1")).toBe("EACCES");
    expect(guest.ask(XS_RM, ["/secret/x"])).toBe("EACCES");
  });

  test("the root has the same checks as every node (XSA-353)", () => {
    const guest = new StoreWorld().guest(7);
    expect(guest.ask(XS_SET_PERMS, ["/", "n7"])).toBe("EACCES");
    expect(guest.ask(XS_READ, ["/"])).toBe("EACCES");
    expect(guest.ask(XS_DIRECTORY, ["/"])).toBe("EACCES");
    expect(guest.write("/", "x")).toBe("EACCES");
    expect(guest.ask(XS_RM, ["/"])).toBe("EINVAL");
  });
});

describe("new nodes", () => {
  test("a guest's node and its missing parents get the parent's list, owned by the guest", () => {
    const world = new StoreWorld();
    const guest = world.guest(7);
    const host = world.store.connectHost();
    world.introduce(8);
    host.mkdir("/shared");
    host.setPerms("/shared", ["n0", "b7", "r8"]);
    expect(guest.write("/shared/a/b", "1")).toBe("OK");
    expect(host.getPerms("/shared/a")).toEqual(["n7", "b7", "r8"]);
    expect(host.getPerms("/shared/a/b")).toEqual(["n7", "b7", "r8"]);
  });

  test("a privileged client's node keeps the parent's owner", () => {
    const world = new StoreWorld();
    world.guest(7);
    const host = world.store.connectHost();
    host.write("/local/domain/7/device/vbd", "");
    expect(host.getPerms("/local/domain/7/device/vbd")).toEqual(["n7"]);
    expect(host.getPerms("/local")).toEqual(["n0"]);
  });
});

describe("SET_PERMS", () => {
  test("the owner may change the list but not the owner (XSA-352)", () => {
    const world = new StoreWorld();
    const guest = world.guest(7);
    world.introduce(8);
    guest.write("x", "1");
    expect(guest.ask(XS_SET_PERMS, ["x", "r7", "w8"])).toBe("OK");
    expect(guest.ask(XS_GET_PERMS, ["x"])).toBe("r7 w8");
    expect(guest.ask(XS_SET_PERMS, ["x", "n8"])).toBe("EPERM");
    expect(guest.ask(XS_SET_PERMS, ["x", "n0"])).toBe("EPERM");
    expect(guest.ask(XS_GET_PERMS, ["x"])).toBe("r7 w8");
  });

  test("whoever may only write may not change the list", () => {
    const world = new StoreWorld();
    const guest = world.guest(7);
    const host = world.store.connectHost();
    host.write("/node", "");
    host.setPerms("/node", ["n0", "b7"]);
    expect(guest.ask(XS_SET_PERMS, ["/node", "n0", "b7"])).toBe("EACCES");
  });

  test("special nodes have permissions, and only privileged clients may use them until they say otherwise", () => {
    const world = new StoreWorld();
    const guest = world.guest(7);
    const host = world.store.connectHost();
    expect(guest.ask(XS_GET_PERMS, ["@releaseDomain"])).toBe("EACCES");
    expect(host.getPerms("@releaseDomain")).toEqual(["n0"]);
    host.setPerms("@releaseDomain", ["n0", "r7"]);
    expect(guest.ask(XS_GET_PERMS, ["@releaseDomain"])).toBe("n0 r7");
    expect(guest.ask(XS_SET_PERMS, ["@releaseDomain", "n0"])).toBe("EACCES");
  });
});

describe("the same number again (XSA-322, XSA-417)", () => {
  test("a new domain has no rights that the old one had", () => {
    const world = new StoreWorld();
    const host = world.store.connectHost();
    const old = world.guest(7);
    host.write("/readable", "secret");
    host.setPerms("/readable", ["n0", "b7"]);
    expect(old.ask(XS_READ, ["/readable"])).toBe("secret");
    world.store.release(7);
    const next = world.guest(7);
    expect(next.ask(XS_READ, ["/readable"])).toBe("EACCES");
    expect(next.write("/readable/x", "1")).toBe("EACCES");
    expect(host.getPerms("/readable")).toEqual(["n0"]);
  });

  test("an old entry does not come back to life in a child or through a write", () => {
    const world = new StoreWorld();
    const host = world.store.connectHost();
    world.guest(7);
    host.write("/dir", "");
    host.setPerms("/dir", ["n0", "b7"]);
    world.store.release(7);
    const next = world.guest(7);
    host.write("/dir", "new value");
    host.write("/dir/child", "secret");
    expect(next.ask(XS_READ, ["/dir"])).toBe("EACCES");
    expect(next.ask(XS_READ, ["/dir/child"])).toBe("EACCES");
  });

  test("nodes of a domain that is gone are gone, also those of others below them", () => {
    const world = new StoreWorld();
    const host = world.store.connectHost();
    world.guest(7).write("data/x", "1");
    host.write("/local/domain/7/data/toolstack", "2");
    world.store.release(7);
    expect(host.directory("/local/domain")).toEqual([]);
    expect(host.read("/local/domain/7/data/x")).toBeNull();
  });

  test("a root or special node that was given away falls back to domain 0", () => {
    const world = new StoreWorld();
    const host = world.store.connectHost();
    world.guest(7);
    host.setPerms("/", ["r7"]);
    host.setPerms("@introduceDomain", ["n7"]);
    world.store.release(7);
    expect(host.getPerms("/")).toEqual(["r0"]);
    expect(host.getPerms("@introduceDomain")).toEqual(["n0"]);
  });

  test("a transaction that began before cannot give the new domain what was meant for the old one", () => {
    const world = new StoreWorld();
    const dom0 = world.introduce(0);
    world.guest(7);
    const id = dom0.start();
    dom0.write("/late", "secret", id);
    dom0.ask(XS_SET_PERMS, ["/late", "n7", "b7"], id);
    world.store.release(7);
    const next = world.guest(7);
    expect(dom0.ask(7, ["T"], id)).toBe("OK");
    expect(dom0.ask(XS_GET_PERMS, ["/late"])).toBe("n0");
    expect(next.ask(XS_READ, ["/late"])).toBe("EACCES");
  });

  test("rights given before the introduction are the next domain's; a guest's gifts to nobody are void", () => {
    const world = new StoreWorld();
    const host = world.store.connectHost();
    const other = world.guest(8);
    host.write("/early", "for 7");
    host.setPerms("/early", ["n0", "r7"]);
    other.write("gift", "for 9");
    other.ask(XS_SET_PERMS, ["gift", "n8", "r9"]);
    expect(world.guest(7).ask(XS_READ, ["/early"])).toBe("for 7");
    expect(world.guest(9).ask(XS_READ, ["/local/domain/8/gift"])).toBe("EACCES");
  });
});
