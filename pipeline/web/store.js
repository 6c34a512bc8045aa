// A value with subscribers, and a hook that draws a component again when the part it uses has changed.

import { useEffect, useState } from "./vendor/htm-preact.js";

/**
 * @template T
 * @typedef {{get(): T, set(value: T): void, update(change: (value: T) => T): void,
 *   subscribe(listener: (value: T) => void): () => void}} Store
 */

/**
 * @template T
 * @param {T} value
 * @returns {Store<T>}
 */
export function createStore(value) {
  /** @type {Set<(value: T) => void>} */
  const listeners = new Set();
  const store = {
    get: () => value,
    /** @param {T} next */
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener(value);
    },
    /** @param {(value: T) => T} change */
    update: (change) => store.set(change(value)),
    /** @param {(value: T) => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
  return store;
}

/**
 * @template T, S
 * @param {Store<T>} store
 * @param {(value: T) => S} select
 * @returns {S}
 */
export function useStore(store, select) {
  const [, redraw] = useState(/** @type {unknown} */ (null));
  const current = select(store.get());
  useEffect(() => {
    let seen = current;
    const look = () => {
      const next = select(store.get());
      if (Object.is(next, seen)) return;
      seen = next;
      redraw({});
    };
    look();
    return store.subscribe(look);
  }, [store, current]);
  return current;
}
