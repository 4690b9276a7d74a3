declare module 'hash-ring' {
  interface HashRingOptions {
    /** Virtual nodes of each node. Default 128. */
    readonly replicas?: number;
    readonly hashMethod?: 'crc32' | 'md5';
  }
  class HashRing {
    constructor(nodes?: readonly string[], options?: HashRingOptions);
    /** Token → node. With md5 a token is a signed 64-bit number as decimal text. Of two nodes with the same token the one added later has it. */
    readonly rings: Readonly<Record<string, string>>;
    /** The token of a virtual node, `node:index`. */
    hashFunc(virtualNode: string): string;
    addNode(node: string): void;
    /** Wrong: compares the key as it is, not its hash, with the tokens. */
    getNode(key: string): string | null;
  }
  export = HashRing;
}
