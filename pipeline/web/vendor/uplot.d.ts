// The part of uPlot that the page uses.
export default class uPlot {
  constructor(options: object, data: (number | null)[][], host: HTMLElement);
  setData(data: (number | null)[][]): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
