import * as tree from "../../maml_teach/widgets/decision/advice.js";
import { answer } from "./harness.mjs";

answer({
  advice: tree.advice,
  forksPassed: tree.forksPassed,
  questions: () => tree.QUESTIONS.map(({ trait, options }) => [trait, options]),
  rules: () => tree.RULES.map(({ trait, answer: way, result }) => [trait, way, result]),
});
