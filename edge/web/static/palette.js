// Colours of the picture: from the paper to ink, by way of the accent; even steps of lightness.

const STOPS = {
  light: ["#f3f1ec", "#dfe9e4", "#a9d0c8", "#5fa8a3", "#23747b", "#0d4553", "#071f2b"],
  dark: ["#14181d", "#13303a", "#11525a", "#1f7d7c", "#5aa98f", "#b3cf9c", "#fbf3c9"],
};
const QUIET = 0.12; // of full scale, in dB; what lies below has the colour of silence
const LOUD = 0.86;

/** 256 colours as RGBA in one number each, as an ImageData of this machine wants them. */
export function palette(theme) {
  const stops = STOPS[theme].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const bytes = new Uint8ClampedArray(4 * 256);
  for (let value = 0; value < 256; value++) {
    const share = Math.min(1, Math.max(0, (value / 255 - QUIET) / (LOUD - QUIET)));
    const at = share * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) {
      bytes[4 * value + c] = stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c]);
    }
    bytes[4 * value + 3] = 255;
  }
  return new Uint32Array(bytes.buffer);
}
