import * as claims from "../../maml_teach/widgets/claims/claims.js";
import { answer, floats, network, plain, state } from "./harness.mjs";

/** All that Python sent but the network and what is drawn. */
function unpacked(traits) {
  const { range, support, xs, series, curves, starts, curvatures, alpha } = claims.readSource(traits);
  return { range, support, xs, series, curves, starts, curvatures, alpha };
}

const measuredOptions = (traits) => claims.measuredOptions(traits, claims.readSource(traits));

answer({
  unpacked: [unpacked, state],
  measuredOptions: [measuredOptions, state],
  quantile: claims.quantile,
  placesOfFactor: claims.placesOfFactor,
  newWave: claims.newWave,
  descent: [claims.descent, network, floats, plain, plain, plain],
  between: [claims.between, floats, floats, plain],
  shareAbove: claims.shareAbove,
  stretch: claims.stretch,
});
