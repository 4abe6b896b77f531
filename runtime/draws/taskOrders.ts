// Orders of tasks, which the host draws for a method that goes through the tasks' gradients one by one. A
// pure function of (seed, stream, step): a resumed run draws the same ones.
import type { DrawRole } from "../../compiler/ir/roles.ts";
import { RandomStream } from "./randomStream.ts";

/** Of each of `tasks` tasks the places of the others in a drawn order, [tasks, tasks - 1] row-major. */
export function drawTaskOrders(
  seed: number,
  step: number,
  tasks: number,
  { stream }: Pick<DrawRole, "stream">,
): BigInt64Array {
  const random = new RandomStream(seed, stream, step);
  const orders = Array.from({ length: tasks }, (_, task) => {
    const places = Array.from({ length: tasks }, (_, place) => place).filter((place) => place !== task);
    for (let i = places.length - 1; i > 0; i--) {
      const j = Math.floor(random.nextUniform() * (i + 1));
      [places[i], places[j]] = [places[j] as number, places[i] as number];
    }
    return places;
  });
  return BigInt64Array.from(orders.flat(), BigInt);
}
