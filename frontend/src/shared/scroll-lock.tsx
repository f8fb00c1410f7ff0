import { useLayoutEffect, type ElementType, type ReactNode, type Ref } from "react";

interface RemoveScrollProps {
  as?: ElementType;
  ref?: Ref<unknown>;
  children: ReactNode;
}

let locks = 0;

/**
 * Stands in for `react-remove-scroll`, which Radix uses: it keeps the page behind a dialog from scrolling, without
 * writing a <style> element. The style sheet knows the attribute.
 */
export function RemoveScroll({ as: Element = "div", children, ref }: RemoveScrollProps) {
  useLayoutEffect(() => {
    locks += 1;
    document.documentElement.toggleAttribute("data-scroll-locked", true);
    return () => {
      locks -= 1;
      document.documentElement.toggleAttribute("data-scroll-locked", locks > 0);
    };
  }, []);
  return <Element ref={ref}>{children}</Element>;
}
