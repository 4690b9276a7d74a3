/** What became of the chunks in scope so far. */
export class CopyFigures {
  /** In scope at the source, as far as was listed ahead; `isCounted`: to the end. */
  chunks = 0;
  isCounted = false;
  copied = 0;
  copiedBytes = 0;
  /** The target had them: their rows, and so their objects. */
  there = 0;
  /** The target drops the tables of all their days (`table_manager`): neither object nor rows go there. */
  expired = 0;
  /** No row of the source names them, so no query of it finds them: what is left of an attempt, or of what was deleted, or not indexed yet. */
  unnamed = 0;
  /** Deleted while the source was walked. */
  gone = 0;
  /** Not copied: their bytes are not those that their keys name, or the target cannot have them. */
  leftOut = 0;
  /** Objects whose names are no keys of chunks. */
  others = 0;

  get done(): number {
    return this.copied + this.there + this.expired + this.unnamed + this.gone + this.leftOut;
  }
}
