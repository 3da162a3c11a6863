import { ellipse, inInnerLoop } from "../../maml_teach/widgets/two_loops/two_loops.js";
import { answer } from "./harness.mjs";

answer({ ellipse, inInnerLoop });
