// The hall screen: current tide, next high water, whether the wheel turns.

const REFRESH_MS = 15000;

function describeWheel(rpm) {
  if (rpm === null) return "The wheel's sensor is having a rest.";
  if (rpm < 0.2) return "The wheel is waiting for the tide.";
  return `The wheel turns ${rpm.toFixed(1)} times a minute.`;
}

function nextTideText(tides, now) {
  const next = tides.find((tide) => tide.kind === "high" && tide.at > now);
  if (!next) return "";
  const minutes = Math.round((next.at - now) / 60000);
  return `High water in ${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

async function refreshHallScreen(fetchJson, element) {
  const state = await fetchJson("/state.json");
  element.querySelector(".wheel").textContent = describeWheel(state.wheelRpm);
  element.querySelector(".tide").textContent = nextTideText(state.tides, Date.now());
}

setInterval(() => refreshHallScreen(window.fetchJson, document.body), REFRESH_MS);
