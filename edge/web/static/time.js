// Formats of times: time of day if the audio is live, else the time since its first sample.

const HOUR_S = 3600; // Seconds in an hour.

/** Return a time in seconds as 00:14 or 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (n) => String(n).padStart(2, "0");
  const rest = `${pad(Math.floor((whole % HOUR_S) / 60))}:${pad(whole % 60)}`;
  return whole < HOUR_S ? rest : `${Math.floor(whole / HOUR_S)}:${rest}`;
}

/** Return the time of day as 14:03:05. */
export function timeOfDay(date) {
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

/** Return the start of an event as readable text. */
export function when(event) {
  return event.at ? timeOfDay(new Date(event.at)) : clock(event.start_s);
}

/** Return the day of an event; "" if its audio was not live. */
export function day(event) {
  return event.at ? new Date(event.at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" }) : "";
}

/** Return a fraction, such as a confidence, as 67 %. */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}
