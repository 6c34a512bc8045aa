// Loading something from the API while a component is shown.

import { useEffect, useState } from "./vendor/htm-preact.js";

/**
 * The last answer stays until the next one is there, so that nothing flickers.
 * @template T
 * @param {() => Promise<T>} load
 * @param {unknown[]} needs loaded again when one of these changes
 * @param {number} [every] milliseconds between loads, if it should be kept fresh
 * @returns {{data: T|null, error: Error|null, loading: boolean, reload: () => void, put: (data: T) => void}}
 */
export function useLoad(load, needs, every) {
  const [state, setState] = useState({
    data: /** @type {T|null} */ (null), error: /** @type {Error|null} */ (null), loading: true,
  });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let wanted = true;
    setState((/** @type {typeof state} */ old) => ({ ...old, loading: true }));
    load().then(
      (data) => wanted && setState({ data, error: null, loading: false }),
      (error) => wanted && setState((/** @type {typeof state} */ old) => ({ ...old, error, loading: false })),
    );
    return () => {
      wanted = false;
    };
  }, [...needs, turn]);
  const reload = () => setTurn((/** @type {number} */ count) => count + 1);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => document.hidden || reload(), every);
    return () => clearInterval(timer);
  }, [every]);
  return { ...state, reload, put: (data) => setState({ data, error: null, loading: false }) };
}
