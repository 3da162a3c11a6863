import { axesOf, logTicks, niceTicks, sentence, tidy } from "../../maml_teach/widgets/flip/flip.js";
import { answer } from "./harness.mjs";

answer({ axesOf, logTicks, niceTicks, sentence, tidy });
