/** The least bytes greater than everything that begins with `prefix`; none if there are no such bytes. */
export const bytesAfterPrefix = (prefix: Uint8Array): Buffer => {
  let end = prefix.length;
  while (end > 0 && prefix[end - 1] === 0xff) end--;
  const after = Buffer.from(prefix.subarray(0, end));
  if (end > 0) after.writeUInt8((after[end - 1] ?? 0) + 1, end - 1);
  return after;
};
