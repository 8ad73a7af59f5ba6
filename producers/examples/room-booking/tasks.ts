import {
  type Equipment,
  equipmentKinds,
  hours,
  isFree,
  type Room,
  rooms,
  timeOf,
} from "./rooms.ts";

/** What somebody wants, and how they say it. `request` is all the agent is given. */
export type Task = {
  readonly id: string;
  readonly request: string;
  readonly people: number;
  readonly hour: number;
  readonly equipment: readonly Equipment[];
};

type Wish = Omit<Task, "request" | "id">;

/** The room meets everything that is wished for. */
export function isAdequate(room: Room, { people, hour, equipment }: Wish): boolean {
  return (
    room.seats >= people &&
    isFree(room, hour) &&
    equipment.every((kind) => room.equipment.includes(kind))
  );
}

const mostPeople = 12;

const phrasings = [
  (people: number, time: string, wish: string) =>
    `Find a room for ${people} people at ${time}${wish}`,
  (people: number, time: string, wish: string) =>
    `We are ${people} people and need a room at ${time}${wish}`,
  (people: number, time: string, wish: string) =>
    `Please book a room at ${time} for ${people} people${wish}`,
];

/** Every wish that some room meets. */
function allWishes(): Wish[] {
  const pairs = equipmentKinds.flatMap((one, i) =>
    equipmentKinds.slice(i + 1).map((two) => [one, two]),
  );
  const sets: Equipment[][] = [[], ...equipmentKinds.map((kind) => [kind]), ...pairs];
  const people = Array.from({ length: mostPeople - 1 }, (_, i) => i + 2);
  return people
    .flatMap((n) =>
      hours.flatMap((hour) => sets.map((equipment) => ({ people: n, hour, equipment }))),
    )
    .filter((wish) => rooms.some((room) => isAdequate(room, wish)));
}

/**
 * Tasks drawn from a seed: the same seed gives the same tasks, and no wish is in both sets. About
 * 500 wishes can be met; asking for more than there are gives all there are.
 */
export function generateTasks(
  seed: number,
  train: number,
  heldOut: number,
): { readonly train: Task[]; readonly heldOut: Task[] } {
  const random = mulberry32(seed);
  const tasks = shuffled(allWishes(), random).map((wish): Task => {
    const phrase = phrasings[Math.floor(random() * phrasings.length)] ?? phrasings[0];
    const things = wish.equipment.length === 0 ? "" : ` with a ${wish.equipment.join(" and a ")}`;
    return {
      ...wish,
      id: `${wish.people}-people-${wish.hour}-${wish.equipment.join("-") || "anything"}`,
      request: phrase?.(wish.people, timeOf(wish.hour), things) ?? "",
    };
  });
  return { heldOut: tasks.slice(0, heldOut), train: tasks.slice(heldOut, heldOut + train) };
}

function shuffled<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [items[i], items[j]];
    if (a !== undefined && b !== undefined) {
      items[i] = b;
      items[j] = a;
    }
  }
  return items;
}

/** A small seeded generator (mulberry32): the examples import nothing of the product. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
