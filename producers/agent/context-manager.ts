import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter } from "node:events";
import { type Context, type ContextManager, context, ROOT_CONTEXT } from "@opentelemetry/api";

/**
 * OpenTelemetry's active context over AsyncLocalStorage: without one, spans have no parents. Used
 * when the process has no context manager of its own.
 */
export function createContextManager(): ContextManager {
  const storage = new AsyncLocalStorage<Context>();
  const manager: ContextManager = {
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (active, fn, thisArg, ...args) =>
      storage.run(active, () => fn.call(thisArg as ThisParameterType<typeof fn>, ...args)),
    bind(active, target) {
      if (typeof target !== "function" || target instanceof EventEmitter) return target;
      return ((...args: unknown[]) => storage.run(active, () => target(...args))) as typeof target;
    },
    enable: () => manager,
    disable() {
      storage.disable();
      return manager;
    },
  };
  return manager;
}

/** Installs one for the process unless there is one. It stays: other tracers may have come to use it. */
export function ensureContextManager(): void {
  const probe = Symbol("lightning");
  const seen = context.with(ROOT_CONTEXT.setValue(probe, true), () =>
    context.active().getValue(probe),
  );
  if (seen !== true) context.setGlobalContextManager(createContextManager());
}
