const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** A size as go-humanize's IBytes prints it: `512 B`, `1.0 MiB`, `20 MiB`. */
export const ibytesText = (bytes: number): string => {
  if (bytes < 10) return `${bytes} B`;
  const exponent = Math.min(UNITS.length - 1, Math.floor(Math.log(bytes) / Math.log(1024)));
  const value = Math.floor((bytes / 1024 ** exponent) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ${UNITS[exponent]}`;
};
