// What must hold between the keys that say which rows train, validate and test.
import type { PartialSpec, RuleFault } from "./specRules.ts";

/** One source of validation rows and one of test rows; parts that leave rows to train. */
export function splitFaults({
  split,
  val_labels: val,
  test_labels: test,
  filepaths,
}: PartialSpec): RuleFault[] {
  if (!split) return [];
  const faults: RuleFault[] = [];
  const refuse = (key: string, message: string, hint?: string): void =>
    void faults.push({ path: ["split", key], message, ...(hint === undefined ? {} : { hint }) });
  const { folds, fold } = split;
  if (val != null)
    faults.push({
      path: ["split"],
      message: "val_labels names the validation rows already: a spec has `split` or `val_labels`",
    });
  if (test != null && split.test !== null) refuse("test", "test_labels names the test rows already");
  if (split.val === null && split.test === null && folds === null)
    faults.push({ path: ["split"], message: "expected val, test or folds", hint: "such as {val: 0.2}" });
  if (split.val !== null && folds !== null)
    refuse("val", "one of the folds validates: val or folds, not both");
  const all = "`mttc cross-validate` trains all of them";
  if (folds !== null && fold === null) refuse("folds", `expected fold, too: 1 to ${folds}`, all);
  if (folds === null && fold !== null) refuse("fold", "expected folds, too: how many there are");
  if (folds !== null && fold !== null && fold > folds)
    refuse("fold", `expected 1 to ${folds}, found ${fold}`);
  const held = (split.val ?? 0) + (split.test ?? 0);
  if (held >= 1)
    refuse("val", `val and test together are ${Number(held.toFixed(6))}: no rows are left to train`);
  if (split.by !== null && split.by === filepaths)
    refuse("by", "rows of one image stay together anyway", "leave `by` out");
  return faults;
}
