/** How often a property is tried. PROPERTY_RUNS is the total for a suite, split evenly over its properties. */
export const propertyRuns = (properties: number): number =>
  Math.max(1, Math.ceil(Number(process.env['PROPERTY_RUNS'] ?? 2000) / properties));
