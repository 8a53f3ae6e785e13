/** Guest stack traces in terms of the sources: bundle positions become TypeScript files, lines and columns by the image's source maps. */
import type { TraceMap } from "@jridgewell/trace-mapping";
import type { Image } from "../image/image";
import { loadTraceMapping } from "../on-demand";

const POSITION = /((?:debug|release)\/(?:kernel|modules\/[\w-]+|programs\/[\w-]+)\.js):(\d+):(\d+)/g;

/** Translates every bundle position in a text; keeps what no map knows. */
export class StackTranslator {
  private readonly maps = new Map<string, TraceMap | null>();

  constructor(private readonly image: Image) {}

  translate(text: string): string {
    return text.replace(POSITION, (whole, file: string, line: string, column: string) => {
      const map = this.mapOf(file);
      if (map === null) return whole;
      const found = loadTraceMapping().originalPositionFor(map, { line: Number(line), column: Number(column) - 1 });
      if (found.source === null) return whole;
      return `${found.source.replace(/^(\.\.\/)+/, "")}:${found.line}:${found.column + 1}`;
    });
  }

  private mapOf(file: string): TraceMap | null {
    let map = this.maps.get(file);
    if (map === undefined) {
      const text = this.image.sourceMap(file);
      const { TraceMap } = loadTraceMapping();
      map = text === null ? null : new TraceMap(text);
      this.maps.set(file, map);
    }
    return map;
  }
}
