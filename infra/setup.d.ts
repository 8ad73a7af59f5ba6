/** Types of setup.js for those who import it from TypeScript. */
export function setUp(options?: { kafka?: boolean }): void;
