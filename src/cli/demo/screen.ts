// What the demo writes to the terminal: plain lines in columns, colour only where a terminal shows it.
import { styleText } from "node:util";

type Style = "bold" | "dim" | "green" | "red" | "cyan";

/** One line of the crossing: who, what was seen, and how long it took. */
export interface HopLine {
  readonly where: string;
  readonly what: string;
  readonly ms?: number | undefined;
}

const whereWidth = 24;
const whatWidth = 88;

/** Writes the demo's output. */
export class Screen {
  readonly #write: (text: string) => void;
  readonly #colour: boolean;

  /** `colour` is usually whether stdout is a terminal and NO_COLOR is not set. */
  constructor(write: (text: string) => void, colour: boolean) {
    this.#write = write;
    this.#colour = colour;
  }

  heading(text: string): void {
    this.#write(`\n${this.#style("bold", text)}\n`);
  }

  line(text = ""): void {
    this.#write(text === "" ? "\n" : `  ${text}\n`);
  }

  /** A command to try, with what it shows. */
  command(command: string, shows: string): void {
    this.#write(`  ${this.#style("cyan", command)}\n      ${this.#style("dim", shows)}\n`);
  }

  /** A hop of the crossing as it is seen. */
  hop({ where, what, ms }: HopLine): void {
    const time = ms === undefined ? "" : this.#style("dim", `${ms.toFixed(1)} ms`);
    this.#write(
      `  ${this.#style("cyan", where.padEnd(whereWidth))}${ms === undefined ? what : what.padEnd(whatWidth)} ${time}`.trimEnd() + "\n",
    );
  }

  /** A check's outcome. */
  check(passed: boolean, text: string): void {
    this.#write(`  ${passed ? this.#style("green", "ok  ") : this.#style("red", "FAIL")}  ${text}\n`);
  }

  #style(style: Style, text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text;
  }
}

/** Checks that are shown as they are made. */
export class Checks {
  readonly #screen: Screen;
  #failures = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** True while none has failed. */
  get allPassed(): boolean {
    return this.#failures === 0;
  }

  /** Shows a check's outcome. */
  that(passed: boolean, what: string): void {
    if (!passed) this.#failures++;
    this.#screen.check(passed, what);
  }

  /** Shows a check that could not be made. */
  failed(what: string): false {
    this.that(false, what);
    return false;
  }
}
