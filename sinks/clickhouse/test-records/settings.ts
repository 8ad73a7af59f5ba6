/** When everything here happened, µs since epoch. */
export const at = 1_790_000_000_123_456;

/** How the project of these records assigns credit. */
export const credit = {
  strategy: "group-relative",
  parameters: { gamma: 0.99 },
  options: { fallback: "final-reward" },
};
