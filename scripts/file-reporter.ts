import path from 'node:path';
import Mocha from 'mocha';

/** A line for each file once its tests are over, and for each failure at once: a run that is killed has then named what failed before. */
export class FileReporter extends Mocha.reporters.Base {
  #file: string | undefined;
  #began = performance.now();
  #count = 0;

  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    runner.on('test', (test) => {
      if (test.file !== this.#file) this.#next(test.file);
      this.#count += 1;
    });
    runner.on('fail', (test, error) => console.log(`failed: ${test.fullTitle()}: ${error.message}`));
    runner.on('end', () => {
      this.#next(undefined);
      this.epilogue();
    });
  }

  #next(file: string | undefined): void {
    const now = performance.now();
    if (this.#file !== undefined) {
      const seconds = ((now - this.#began) / 1000).toFixed(1).padStart(6);
      console.log(`${seconds} s ${String(this.#count).padStart(4)} tests  ${path.relative(process.cwd(), this.#file)}`);
    }
    [this.#file, this.#began, this.#count] = [file, now, 0];
  }
}
