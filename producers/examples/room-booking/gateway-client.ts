/** A claimed rollout, as the gateway answers. */
export type Claimed = {
  readonly rollout_id: string;
  readonly input: unknown;
  readonly mode: string | null;
  readonly attempt: { readonly attempt_id: string };
  /** OpenAI base URL whose calls are recorded as spans of this attempt. */
  readonly openai_base_url: string;
};

export type GatewayClient = {
  /** Enqueues rollouts; their ids, in order. */
  enqueue(rollouts: readonly Readonly<Record<string, unknown>>[]): Promise<string[]>;
  claim(workerId: string, limit: number): Promise<Claimed[]>;
  reward(claimed: Claimed, value: number): Promise<void>;
  end(claimed: Claimed, status: "succeeded" | "failed", error?: string): Promise<void>;
  /** Version of the newest resources. */
  policyVersion(): Promise<number>;
  /** Waits for a version after `version`; gives the newest at the deadline. */
  policyAfter(version: number, withinMs: number): Promise<number>;
};

const pollMs = 25;
const attempts = 8;

/** The few calls of the gateway's HTTP API that a training loop needs. */
export function gatewayClient(baseUrl: string): GatewayClient {
  /** Safe to repeat: the key makes the gateway recognise a request it has applied. */
  async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const url = `${baseUrl}/api/v1${path}`;
    const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await fetch(url, {
          method,
          headers: body === undefined ? {} : headers,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await answer.text();
        if (answer.ok) return JSON.parse(text) as T;
        if (answer.status < 500 || attempt === attempts) {
          throw new Error(`${method} ${url} answered ${answer.status}: ${text.slice(0, 300)}`);
        }
      } catch (error) {
        // fetch throws TypeError when the gateway is not there: it may be restarting.
        if (!(error instanceof TypeError) || attempt === attempts) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt));
    }
  }

  const attemptPath = ({ rollout_id, attempt }: Claimed): string =>
    `/rollouts/${encodeURIComponent(rollout_id)}/attempts/${attempt.attempt_id}`;

  const policyVersion = async (): Promise<number> => {
    const { version } = await ask<{ version: number }>("GET", "/resources/latest");
    return version;
  };

  return {
    async enqueue(rollouts) {
      const answered = await ask<{ rollout_id: string }[]>("POST", "/rollouts", rollouts);
      return answered.map((rollout) => rollout.rollout_id);
    },
    claim: (workerId, limit) => ask("POST", "/rollouts/claim", { worker_id: workerId, limit }),
    reward: async (claimed, value) => {
      await ask("POST", `${attemptPath(claimed)}/rewards`, { value });
    },
    end: async (claimed, status, error) => {
      await ask("POST", `${attemptPath(claimed)}/end`, {
        status,
        ...(error === undefined ? {} : { error }),
      });
    },
    policyVersion,
    async policyAfter(version, withinMs) {
      const deadline = Date.now() + withinMs;
      for (;;) {
        const newest = await policyVersion();
        if (newest > version || Date.now() > deadline) return newest;
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    },
  };
}
