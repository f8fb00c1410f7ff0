declare namespace Cloudflare {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- an interface is what the platform's types extend
  interface Env extends GatewayEnv {}
  interface GlobalProps {
    mainModule: typeof import("../src/index");
  }
}

type GatewayEnv = import("../src/settings").Env;

declare module "*?raw" {
  const text: string;
  export default text;
}
