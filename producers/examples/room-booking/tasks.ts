import { type Equipment, equipmentKinds, hours, isFree, type Room, rooms, timeOf } from "./rooms.ts";

/** What somebody wants, and how they say it. `request` is all the agent is given. */
export type Task = {
  readonly id: string;
  readonly request: string;
  readonly people: number;
  readonly hour: number;
  readonly equipment: readonly Equipment[];
};

/** The room meets everything the task asks for. */
export function isAdequate(room: Room, { people, hour, equipment }: Omit<Task, "request" | "id">): boolean {
  return (
    room.seats >= people &&
    isFree(room, hour) &&
    equipment.every((kind) => room.equipment.includes(kind))
  );
}

const phrasings = [
  (people: number, time: string, wish: string) => `Find a room for ${people} people at ${time}${wish}.`,
  (people: number, time: string, wish: string) => `We are ${people} people and need a room at ${time}${wish}.`,
  (people: number, time: string, wish: string) => `Please book a room at ${time} for ${people} people${wish}.`,
];

function wishes(): Equipment[][] {
  const pairs = equipmentKinds.flatMap((one, i) => equipmentKinds.slice(i + 1).map((two) => [one, two]));
  return [[], ...equipmentKinds.map((kind) => [kind]), ...pairs];
}

export function generateTasks(seed: number, train: number, heldOut: number): { train: Task[]; heldOut: Task[] } {
  const random = mulberry(seed);
  const all = [2,3,4,5,6,7,8,9,10,11,12].flatMap((people) => hours.flatMap((hour) => wishes().map((equipment) => ({ people, hour, equipment }))))
    .filter((wish) => rooms.some((room) => isAdequate(room, wish)));
  for (let i = all.length - 1; i > 0; i--) { const j = Math.floor(random() * (i + 1)); [all[i], all[j]] = [all[j]!, all[i]!]; }
  const tasks = all.map((w) => {
    const wish = w.equipment.length === 0 ? "" : ` with a ${w.equipment.join(" and a ")}`;
    const phrase = phrasings[Math.floor(random() * phrasings.length)]!;
    return { ...w, id: `${w.people}-${w.hour}-${w.equipment.join("-")}`, request: phrase(w.people, timeOf(w.hour), wish) };
  });
  return { heldOut: tasks.slice(0, heldOut), train: tasks.slice(heldOut, heldOut + train) };
}
function mulberry(seed: number) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
