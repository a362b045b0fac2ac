// Colours of the spectrogram, from the background through the accent to the text colour, in even
// steps of lightness.

const STOPS = {
  light: ["#f3f1ec", "#dfe9e4", "#a9d0c8", "#5fa8a3", "#23747b", "#0d4553", "#071f2b"],
  dark: ["#14181d", "#13303a", "#11525a", "#1f7d7c", "#5aa98f", "#b3cf9c", "#fbf3c9"],
};
const QUIET = 0.12; // Values up to this fraction of the dB range get the first colour (silence).
const LOUD = 0.86; // Values from this fraction of the dB range on get the last colour.

/** Return 256 RGBA colours, one number each, in the byte order that ImageData has here. */
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
