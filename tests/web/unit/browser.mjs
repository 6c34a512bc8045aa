// What the modules of the page expect of a browser, as far as the unit tests need it.
const nothing = () => undefined;
globalThis.localStorage ??= { getItem: () => null, setItem: nothing };
globalThis.document ??= { addEventListener: nothing, documentElement: { dataset: {} }, hidden: false };
globalThis.location ??= { hash: "" };
globalThis.addEventListener ??= nothing;
