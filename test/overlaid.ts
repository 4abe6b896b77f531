// An object with some members replaced, for tests that need it to lie. Its class's private members stay in
// reach of its own methods, which a prototype made of it would not do.

/** `object`, but for `members`; methods and getters that are not replaced run on `object` itself. */
export function overlaid<T extends object>(object: T, members: { readonly [K in keyof T]?: unknown }): T {
  return new Proxy(object, {
    get: (target, key) => {
      if (Object.hasOwn(members, key)) return Reflect.get(members, key);
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
