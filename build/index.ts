/** `xenolith/build`: compile guest sources into bundles and images. */
export { BuildError } from "./build-error";
export { type BuiltImage, type ImageContents, type ImageOptions, buildImage, packImage } from "./image";
export { buildHost } from "./host";
export { type Unit, projectUnits, unitsIn } from "./sources";
export { type Rebuilder, createRebuilder } from "./rebuild";
export { linker } from "./linker";
