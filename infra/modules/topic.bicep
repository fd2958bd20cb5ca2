// The Event Grid system topic of a workspace: the one that is there, or a new one. A source has one
// topic at most, in its own subscription and region; the topic's identity writes the dead letters.

@description('Name of the topic that is there; empty to make one. It needs a system-assigned identity.')
param existingName string

@description('Name of the workspace, in this resource group.')
param workspaceName string

@description('Region of the workspace.')
param location string

@description('Tags.')
param tags object

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-10-01' existing = {
  name: workspaceName
}

resource made 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (empty(existingName)) {
  name: 'evgt-${workspaceName}'
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: workspace.id
    topicType: 'Microsoft.MachineLearningServices.Workspaces'
  }
}

resource found 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = if (!empty(existingName)) {
  name: existingName
}

@description('Id of the topic.')
output id string = empty(existingName) ? made.id : found.id

@description('Object id of the identity of the topic.')
output principalId string = empty(existingName) ? made!.identity.principalId : found!.identity.principalId
