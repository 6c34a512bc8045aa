// The part of Preact and htm that the page uses.
export function html(strings: TemplateStringsArray, ...values: unknown[]): any;
export function h(type: unknown, props: unknown, ...children: unknown[]): any;
export function render(node: unknown, parent: Element): void;
export class Component<P = any, S = any> {
  props: P;
  state: S;
  setState(change: Partial<S>): void;
  shouldComponentUpdate?(next: P): boolean;
}
export function useState<T>(initial: T | (() => T)): [T, (next: T | ((old: any) => T)) => void];
export function useEffect(effect: () => void | (() => void), needs?: unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => void), needs?: unknown[]): void;
export function useRef<T>(initial: T): { current: T };
export function useRef<T>(initial: null): { current: T | null };
export function useRef<T>(initial: undefined): { current: T | undefined };
export function useMemo<T>(make: () => T, needs: unknown[]): T;
export function useCallback<T>(callback: T, needs: unknown[]): T;
