import { isFree, rooms } from "./rooms.ts";
import { isAdequate, type Task } from "./tasks.ts";

/** What the agent did: the hour it looked rooms up for, and the text it answered with. */
export type Outcome = { readonly lookedUpHour: number | null; readonly answer: string };

const adequate = 0.8;
const partial = 0.4;

/**
 * Grades from 0 to 1: 1 for the smallest room that meets everything, 0.8 for a larger one that does,
 * up to 0.4 for a room that meets some of it, 0 for no room of ours or one that was not looked up
 * for the time asked.
 */
export function grade(task: Task, { lookedUpHour, answer }: Outcome): number {
  const room = rooms.find(({ id }) => id === answer.trim().toLowerCase());
  if (room === undefined || lookedUpHour !== task.hour) return 0;
  if (room === rooms.find((one) => isAdequate(one, task))) return 1;
  if (isAdequate(room, task)) return adequate;
  const met = [
    room.seats >= task.people,
    isFree(room, task.hour),
    ...task.equipment.map((kind) => room.equipment.includes(kind)),
  ];
  return (partial * met.filter(Boolean).length) / met.length;
}
