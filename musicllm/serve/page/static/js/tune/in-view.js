/**
 * Whether an element is in view or near it, so that what is far away costs nothing.
 */
import { useEffect, useState } from "../../vendor/preact.js";

const NEAR = "800px 0px";
const listeners = new WeakMap();
let observer = null;

/** Return whether the element of a ref is near the view. */
export function useInView(place) {
  const [isNear, setIsNear] = useState(false);
  useEffect(() => {
    observer ??= new IntersectionObserver(tell, { rootMargin: NEAR, scrollMargin: NEAR });
    const element = place.current;
    listeners.set(element, setIsNear);
    observer.observe(element);
    return () => observer.unobserve(element);
  }, []);
  return isNear;
}

function tell(entries) {
  for (const { target, isIntersecting } of entries) listeners.get(target)?.(isIntersecting);
}
