import type { Member, Strategy } from "./strategy.ts";
import { returnsOf, turnRewardsOf, turnsOf } from "./turns.ts";

/**
 * Potential-based shaping: r'_t = r_t + γ·Φ(s_{t+1}) − Φ(s_t), with Φ the potential the agent emitted
 * for the state it acted in (`lightning.state.potential`), 0 where it emitted none and behind the
 * last turn; optimal policies stay the same (Ng, Harada and Russell, "Policy invariance under reward
 * transformations", ICML 1999). The return is Σ_k γ^k·r'_{t+k} = G_t − Φ(s_t), the advantage
 * A_t = Σ_k (γλ)^k·r'_{t+k}: λ = 1 is that return, λ = 0 the shaped reward itself (generalised
 * advantage estimation with Φ as the value, Schulman et al., arXiv:1506.02438, eq. 16).
 * Without potentials and with λ = 1 this is `discounted`.
 */
export const potentialShaping: Strategy = {
  name: "potential-shaping",
  doc: "discounted, with the potential the agent emits for its states",
  parameters: {
    gamma: { default: 0.95, min: 0, max: 1, doc: "Discount per turn." },
    lambda: { default: 1, min: 0, max: 1, doc: "How far behind a step shaped rewards count." },
  },
  options: {},
  needsGroup: () => false,
  assign: (members, { gamma = 0.95, lambda = 1 }) =>
    members.map((member) => {
      const potentials = member.steps.map(({ potential }) => finite(potential));
      const plain = returnsOf(member, gamma);
      const returns = plain.map((value, i) => value - (potentials[i] ?? 0));
      return { returns, advantages: lambda === 1 ? returns : estimates(member, gamma, lambda) };
    }),
};

/** A_t over turns; the choices of a call share their turn's reward but for what is their own. */
function estimates(member: Member, gamma: number, lambda: number): number[] {
  const turns = turnsOf(member);
  const rewards = turnRewardsOf(member, turns);
  const potentials = turns.map(([first = 0]) => finite(member.steps[first]?.potential));
  const advantages = new Array<number>(member.steps.length).fill(0);
  let after = 0;
  for (let t = turns.length - 1; t >= 0; t--) {
    const shaping = gamma * (potentials[t + 1] ?? 0) - (potentials[t] ?? 0);
    const behind = shaping + gamma * lambda * after;
    const reward = rewards[t] ?? 0;
    const turn = turns[t] ?? [];
    for (const i of turn) {
      const own = turn.length > 1 ? (member.steps[i]?.reward ?? reward) : reward;
      advantages[i] = own + behind;
    }
    after = reward + behind;
  }
  return advantages;
}

function finite(potential: number | null | undefined): number {
  return Number.isFinite(potential) ? Number(potential) : 0;
}
