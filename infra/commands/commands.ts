export const commands: Record<string, { doc: string; usage: string; run(args: readonly string[]): Promise<void> }> = {};
