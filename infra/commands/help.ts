export function helpText(_topic?: string): string { return ""; }
