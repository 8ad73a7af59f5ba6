/** What a room may have. */
export const equipmentKinds = ["whiteboard", "projector", "camera", "phone"] as const;
export type Equipment = (typeof equipmentKinds)[number];

/** A room of the house; `booked` lists the hours (24-hour clock) at which it is taken. */
export type Room = {
  readonly id: string;
  readonly seats: number;
  readonly equipment: readonly Equipment[];
  readonly booked: readonly number[];
};

/** Hours at which a room can be asked for; each stands for the meeting that begins then. */
export const hours = [9, 10, 11, 12, 13, 14, 15, 16, 17] as const;

/** The house, smallest room first. No two rooms have as many seats, so one room is always the best. */
export const rooms: readonly Room[] = [
  { id: "alder", seats: 2, equipment: ["phone", "camera"], booked: [9, 13, 16] },
  { id: "birch", seats: 3, equipment: ["whiteboard", "projector"], booked: [10, 12, 16] },
  { id: "cedar", seats: 4, equipment: ["projector", "camera"], booked: [9, 11, 15] },
  { id: "elm", seats: 6, equipment: ["whiteboard", "phone"], booked: [11, 14, 17] },
  { id: "hazel", seats: 8, equipment: ["projector", "phone"], booked: [10, 13, 15] },
  { id: "maple", seats: 10, equipment: ["whiteboard", "camera"], booked: [9, 12, 14] },
  { id: "oak", seats: 12, equipment: ["projector", "whiteboard"], booked: [11, 13, 17] },
  { id: "willow", seats: 16, equipment: ["camera", "phone"], booked: [10, 12, 15] },
];

/** The room is not taken at that hour. */
export function isFree({ booked }: Room, hour: number): boolean {
  return !booked.includes(hour);
}

/** The time an hour begins, as the requests and the tool write it: "10:00". */
export function timeOf(hour: number): string {
  return `${hour}:00`;
}

/** Every room with its seats, equipment and whether it is free at that hour, one a line. */
export function listRooms(hour: number): string {
  const lines = rooms.map((room) => {
    const state = isFree(room, hour) ? "free" : "booked";
    return `${room.id}: seats ${room.seats}, ${state}, ${room.equipment.join(", ")}`;
  });
  return [`Rooms at ${timeOf(hour)}:`, ...lines].join("\n");
}
