/** The gateway's version, the same as the Python gateway's. */
export const VERSION = "0.1.0";
